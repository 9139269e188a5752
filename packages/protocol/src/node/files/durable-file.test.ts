import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder, readIfPresent, removeDurable, removeLeftovers, writeDurable } from './durable-file.ts';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'countersign-durable-'));

test('writes, replaces and reads back a whole file, leaving no temporary one', () => {
  const folder = scratch();
  const file = join(folder, 'a.json');
  writeDurable(file, 'one');
  writeDurable(file, Buffer.from('two, longer'));
  assert.equal(readIfPresent(file)?.toString(), 'two, longer');
  assert.deepEqual(readdirSync(folder), ['a.json']);
});

test('a file that cannot be replaced keeps its place, and no temporary file stays', () => {
  const folder = scratch();
  mkdirSync(join(folder, 'taken', 'full'), { recursive: true });
  assert.throws(() => writeDurable(join(folder, 'taken'), 'x'), { code: 'FILE_WRITE' });
  assert.deepEqual(readdirSync(folder), ['taken']);
  assert.throws(() => writeDurable(join(folder, 'missing', 'a'), 'x'), { code: 'FILE_WRITE' });
});

test('gives a secret its permissions from the first moment', { skip: process.platform === 'win32' }, () => {
  const file = join(scratch(), 'key');
  writeDurable(file, 'secret', { mode: 0o600 });
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('tells an absent file from one that cannot be read or is too large', () => {
  const folder = scratch();
  assert.equal(readIfPresent(join(folder, 'none')), undefined);
  assert.throws(() => readIfPresent(folder), { code: 'FILE_READ' });
  writeDurable(join(folder, 'big'), 'abc');
  assert.throws(() => readIfPresent(join(folder, 'big'), 2), { code: 'FILE_READ' });
  assert.equal(readIfPresent(join(folder, 'big'), 3)?.length, 3);
});

test('makes nested folders once, and removes a file once', () => {
  const folder = scratch();
  assert.equal(makeFolder(join(folder, 'a', 'b', 'c')), true);
  assert.equal(makeFolder(join(folder, 'a', 'b', 'c')), false);
  const file = join(folder, 'a', 'f');
  writeDurable(file, '');
  assert.equal(readFileSync(file).length, 0);
  removeDurable(file);
  removeDurable(file);
  assert.equal(existsSync(file), false);
  assert.throws(() => makeFolder(join(folder, 'a', 'f2', '\0')), { code: 'FILE_WRITE' });
});

test('takes away what a dead process left, and nothing else', () => {
  const folder = scratch();
  for (const name of ['a.json', 'a.json.0123456789ab.tmp', 'b.tmp']) writeFileSync(join(folder, name), '');
  removeLeftovers(folder);
  assert.deepEqual(readdirSync(folder).sort(), ['a.json', 'b.tmp']);
});
