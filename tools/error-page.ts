/** Makes `docs/errors.md` from the packages' tables: every code, what it means and how to repair it. `--write` updates the file. */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ErrorTable } from '@countersign/protocol';

const root = resolve(import.meta.dirname, '..');
export const errorPage = join(root, 'docs/errors.md');

const titles: Record<string, string> = {
  protocol: 'What the programs share',
  signer: '`countersign`',
  'repo-server': '`countersign-server`',
  client: '`countersign-device`',
};

/** Every exported `…ErrorTable`, by package. @throws when one code stands in two tables */
export async function errorTables(): Promise<Map<string, ErrorTable>> {
  const tables = new Map<string, ErrorTable>();
  const seen = new Map<string, string>();
  for (const file of globSync('packages/*/src/**/*errors.ts', { cwd: root }).sort()) {
    const name = file.split(/[\\/]/)[1]!;
    const exported = (await import(pathToFileURL(join(root, file)).href)) as Record<string, unknown>;
    for (const [key, table] of Object.entries(exported)) {
      if (!key.endsWith('ErrorTable')) continue;
      for (const code of Object.keys(table as ErrorTable)) {
        if (seen.has(code)) throw new Error(`${code} stands in ${seen.get(code)!} and in ${file}`);
        seen.set(code, file);
      }
      tables.set(name, { ...tables.get(name), ...(table as ErrorTable) });
    }
  }
  return tables;
}

export async function renderErrorPage(): Promise<string> {
  const lines = [
    '# Errors',
    '',
    'Every error is printed as `error[CODE]: what happened` with a `hint: how to repair it`, and with `--json` as',
    '`{"error":{"code","message","hint"}}`. The exit code is 1 for something refused or failed, 2 for wrong usage.',
    'This page is written from the tables in the code by `npm run docs`.',
  ];
  const tables = await errorTables();
  for (const name of Object.keys(titles)) {
    const table = tables.get(name);
    if (!table) continue;
    lines.push('', `## ${titles[name]!}`, '', '| code | what it means | how to repair it |', '|---|---|---|');
    for (const [code, { meaning, hint }] of Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)))
      lines.push(`| \`${code}\` | ${meaning.replaceAll('|', '\\|')} | ${hint.replaceAll('|', '\\|')} |`);
  }
  return `${lines.join('\n')}\n`;
}

if (process.argv[1] === import.meta.filename) {
  const page = await renderErrorPage();
  if (process.argv.includes('--write')) writeFileSync(errorPage, page);
  else if (readFileSync(errorPage, 'utf8') !== page) {
    console.error('docs/errors.md is not what the tables say: npm run docs');
    process.exitCode = 1;
  }
}
