import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createDatabase, openDatabase, schemaVersion, transact } from './database.ts';
import { readSetting, writeSetting } from './settings.ts';

const folder = (): string => mkdtempSync(join(tmpdir(), 'countersign-'));

test('keeps settings and undoes a transaction that throws', () => {
  const directory = folder();
  const database = createDatabase(directory);
  writeSetting(database, 'model', 'Navios');
  assert.throws(
    () =>
      transact(database, () => {
        writeSetting(database, 'model', 'other');
        throw new RangeError('no');
      }),
    RangeError,
  );
  database.close();
  const again = openDatabase(directory);
  assert.equal(readSetting(again, 'model'), 'Navios');
  assert.deepEqual({ ...again.prepare('PRAGMA synchronous').get() }, { synchronous: 2 });
  again.close();
});

test('tells a missing device from a lost database and a damaged one', () => {
  const directory = folder();
  assert.throws(() => openDatabase(directory), { code: 'DEVICE_MISSING' });
  mkdirSync(join(directory, 'store'));
  assert.throws(() => openDatabase(directory), { code: 'RECOVERY_REQUIRED' });
  writeFileSync(join(directory, 'device.db'), 'not a database at all, but long enough to be read as one'.repeat(20));
  assert.throws(() => openDatabase(directory), { code: 'RECOVERY_REQUIRED' });
});

test('reads no schema but its own, and leaves another as it is', () => {
  const directory = folder();
  createDatabase(directory).close();
  for (const [version, code] of [
    [schemaVersion + 1, 'DEVICE_TOO_NEW'],
    [schemaVersion - 1, 'DEVICE_TOO_OLD'],
    [0, 'RECOVERY_REQUIRED'],
    [schemaVersion, null],
  ] as const) {
    const database = new DatabaseSync(join(directory, 'device.db'));
    database.exec(`PRAGMA user_version = ${version}`);
    database.close();
    if (code === null) openDatabase(directory).close();
    else assert.throws(() => openDatabase(directory), { code });
  }
});

test('refuses to make a second device in one folder', () => {
  const directory = folder();
  createDatabase(directory).close();
  assert.throws(() => createDatabase(directory), { code: 'DEVICE_EXISTS' });
});
