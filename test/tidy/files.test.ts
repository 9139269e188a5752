/** Rules about the repository itself. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const code = globSync('{packages,test,tools,bench,demo,fixtures}/**/*.{ts,js,mjs}', {
  cwd: root,
  exclude: ['**/node_modules/**', 'fixtures/components/**'],
});
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

test('there is code to look at', () => assert.ok(code.length > 20));

test('no file of code is over 500 lines', () => {
  assert.deepEqual(
    code.filter((file) => read(file).split('\n').length > 500),
    [],
  );
});

test('files are named in kebab case for the noun', () => {
  const bad = code.filter(
    (file) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.((slow\.)?test|contract|d))?\.(ts|js|mjs)$/.test(basename(file)),
  );
  assert.deepEqual(
    bad.filter((file) => basename(file) !== 'code-signing.ts'),
    [],
  );
  assert.deepEqual(
    code.filter((file) => /(^|\/)(utils?|helpers?|manager|types)\.ts$/.test(file)),
    [],
  );
});

test('no test is switched off and no type is given up', () => {
  const marks = ['.on' + 'ly(', '@ts-ig' + 'nore', '@ts-noch' + 'eck', 'test.to' + 'do(', 'as a' + 'ny'];
  assert.deepEqual(
    code.filter((file) => marks.some((mark) => read(file).includes(mark))),
    [],
  );
});

test('every module of the programs says what it is for', () => {
  const sources = code.filter((file) => /packages\/[^/]+\/src\/.*\.ts$/.test(file) && !/\.test\.ts$/.test(file));
  assert.deepEqual(
    sources.filter((file) => !/^(#!.*\n)?\/\*\*|^\/\//.test(read(file))),
    [],
  );
});

test('dependencies are pinned to exact versions', () => {
  for (const file of ['package.json', ...globSync('packages/*/package.json', { cwd: root })]) {
    const manifest = JSON.parse(read(file)) as Record<string, Record<string, string>>;
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies'])
      for (const [name, version] of Object.entries(manifest[kind] ?? {}))
        assert.match(version, /^(npm:[a-z]+@)?\d+\.\d+\.\d+$/, `${name} in ${file}`);
  }
});
