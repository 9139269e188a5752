/** Compares docs/threat-model.md with the sources: each line of code and each test that it names must exist. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const docs = resolve(import.meta.dirname, '../../docs');
const rows = readFileSync(join(docs, 'threat-model.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && line.includes('](../'));

/** Spaces and line breaks do not count: a long line may be wrapped differently. */
const plain = (text: string): string => text.replace(/\s+/g, '');
const sourceOf = (path: string): string => {
  const file = join(docs, path);
  assert.ok(existsSync(file), `${path} is not there`);
  return plain(readFileSync(file, 'utf8'));
};

test('the threat model names code that exists and tests that exist', () => {
  assert.ok(rows.length > 40, `${rows.length} rows`);
  for (const row of rows) {
    const code = /\]\((\.\.\/packages\/[^)]+)\) `((?:[^`])+)`/.exec(row);
    assert.ok(code, `no line of code: ${row}`);
    const [, path, line] = code;
    assert.ok(sourceOf(path!).includes(plain(line!.replaceAll('\\|', '|'))), `${path} has no ${line}`);
    const shown = /\]\((\.\.\/[^)]+\.test\.ts)\) “([^”]+)”/.exec(row);
    assert.ok(shown, `no test: ${row}`);
    assert.ok(sourceOf(shown[1]!).includes(plain(shown[2]!)), `${shown[1]} has no test “${shown[2]}”`);
  }
});
