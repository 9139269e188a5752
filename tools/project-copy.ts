/** A copy of the project to change at will: its packages are the copy's own, its dependencies are the project's. */
import { cpSync, globSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

const copied = ['packages', 'test', 'tools', 'fixtures', 'demo', 'package.json', 'tsconfig.json'];

/** Fills `copy`, an empty folder, and gives it back; `copy/scratch` is for what runs there. */
export function projectCopy(root: string, copy: string): string {
  const filter = (path: string): boolean => basename(path) !== 'node_modules';
  for (const part of copied) cpSync(join(root, part), join(copy, part), { recursive: true, filter });
  mkdirSync(join(copy, 'scratch'));
  const modules = join(copy, 'node_modules');
  mkdirSync(join(modules, '@countersign'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules')))
    if (name !== '@countersign' && !name.startsWith('.package'))
      symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
  for (const name of readdirSync(join(root, 'packages')))
    symlinkSync(join(copy, 'packages', name), join(modules, '@countersign', name), 'junction');
  for (const name of globSync('packages/*/node_modules', { cwd: root }))
    symlinkSync(join(root, name), join(copy, name), 'junction');
  return copy;
}
