/** Every package declares exactly what its own code imports, and the root what its tests, tools and scripts use beyond that. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import ts from 'typescript';

interface Manifest {
  readonly name: string;
  readonly scripts?: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
}

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const manifestOf = (folder: string): Manifest => JSON.parse(read(join(folder, 'package.json'))) as Manifest;

/** `@scope/name` or `name` of what a file imports, types and dynamic imports too; its own files and Node's modules left out. */
function importsOf(source: string): string[] {
  return ts
    .preProcessFile(source, true, true)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => !name.startsWith('.') && !name.startsWith('node:') && !builtinModules.includes(name))
    .map((name) =>
      name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/'),
    );
}

const importedBy = (patterns: readonly string[], exclude: readonly string[]): Set<string> =>
  new Set(
    globSync([...patterns], { cwd: root, exclude: ['**/node_modules/**', ...exclude] }).flatMap((file) =>
      importsOf(read(file)),
    ),
  );

test('imports are found in every form', () => {
  assert.deepEqual(
    importsOf(
      "import a from 'one'; import type { B } from '@two/b/deep.js'; export * from 'three'; await import('four'); import 'node:fs'; import './x.ts';",
    ).sort(),
    ['@two/b', 'four', 'one', 'three'],
  );
});

const folders = globSync('packages/*', { cwd: root }).filter((folder) =>
  existsSync(join(root, folder, 'package.json')),
);
/** What tests may use in addition to the root's own: the project's packages, and their dependencies. */
const shared = new Set<string>();
for (const folder of folders) {
  const { name, dependencies = {} } = manifestOf(folder);
  shared.add(name);
  for (const dependency of Object.keys(dependencies)) shared.add(dependency);

  test(`${name} declares what it imports, and nothing else`, () => {
    const imported = importedBy([`${folder}/{src,bin}/**/*.{ts,js,mjs}`, `${folder}/*.js`], ['**/*.test.ts']);
    assert.deepEqual(Object.keys(dependencies).sort(), [...imported].sort());
  });
}

test('the root declares what only its tests, tools and scripts use, and nothing else', () => {
  const { devDependencies = {}, scripts = {} } = manifestOf('.');
  const code = importedBy(
    ['{test,tools,bench,demo}/**/*.{ts,js,mjs}', 'fixtures/*.ts', '*.js', 'packages/**/*.test.ts'],
    [],
  );
  const commands = Object.values(scripts).join(' ');
  const used = (name: string): boolean =>
    code.has(name) ||
    commands.includes(name) ||
    // Types of imported packages.
    (name.startsWith('@types/') && (name === '@types/node' || shared.has(name.slice('@types/'.length))));
  assert.deepEqual(
    Object.keys(devDependencies).filter((name) => !used(name)),
    [],
  );
  const known = new Set([...Object.keys(devDependencies), ...shared]);
  assert.deepEqual(
    [...code].filter((name) => !known.has(name)),
    [],
  );
});
