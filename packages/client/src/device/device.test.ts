import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { closeDevice, createDevice, deviceFolders, openDevice, requireLock, withLock } from './device.ts';
import { writeSetting } from './settings.ts';

const folder = (): string => join(mkdtempSync(join(tmpdir(), 'countersign-device-')), 'device');
const posix = { skip: process.platform === 'win32' };

function created(): string {
  const directory = folder();
  closeDevice(createDevice(directory));
  return directory;
}

test('makes its folders and keeps the database from other users', posix, () => {
  const directory = created();
  for (const name of deviceFolders) assert.ok(statSync(join(directory, name)).isDirectory());
  assert.equal(statSync(join(directory, 'device.db')).mode & 0o077, 0);
  assert.equal(statSync(join(directory, 'staging')).mode & 0o077, 0);
  const device = openDevice(directory);
  writeSetting(device.database, 'downloadRate', 1);
  assert.equal(statSync(join(directory, 'device.db-wal')).mode & 0o077, 0);
  closeDevice(device);
});

test('refuses a folder that is a link, a file, or open to everybody', posix, () => {
  const directory = created();
  symlinkSync(directory, `${directory}-link`);
  assert.throws(() => openDevice(`${directory}-link`), { code: 'DEVICE_FOLDER_UNSAFE' });
  writeFileSync(`${directory}-file`, '');
  assert.throws(() => openDevice(`${directory}-file`), { code: 'DEVICE_FOLDER_UNSAFE' });
  chmodSync(directory, 0o777);
  assert.throws(() => openDevice(directory), { code: 'DEVICE_FOLDER_UNSAFE' });
  assert.throws(() => createDevice(directory), { code: 'DEVICE_FOLDER_UNSAFE' });
  chmodSync(directory, 0o755);
  renameSync(join(directory, 'store'), join(directory, 'elsewhere'));
  symlinkSync(join(directory, 'elsewhere'), join(directory, 'store'));
  assert.throws(() => openDevice(directory), { code: 'DEVICE_FOLDER_UNSAFE' });
  rmSync(join(directory, 'store'));
  closeDevice(openDevice(directory));
});

test('the clock never runs behind the highest signed time', () => {
  const directory = created();
  const device = openDevice(directory, { clock: () => new Date('2026-01-01T00:00:00Z') });
  assert.equal(device.clock().toISOString(), '2026-01-01T00:00:00.000Z');
  writeSetting(device.database, 'timeFloor', '2026-02-01T00:00:00Z');
  assert.equal(device.clock().toISOString(), '2026-02-01T00:00:00.000Z');
  closeDevice(device);
});

test('a database with damaged pages needs recovery and is left as it is', () => {
  const directory = created();
  const device = openDevice(directory);
  writeSetting(
    device.database,
    'servers',
    Array.from({ length: 2000 }, (_, i) => `https://${i}.${'x'.repeat(50)}/`),
  );
  closeDevice(device);
  const file = join(directory, 'device.db');
  const bytes = readFileSync(file);
  bytes.fill(0xa5, 4096 * 2, bytes.length - 4096);
  writeFileSync(file, bytes);
  assert.throws(() => openDevice(directory), { code: 'RECOVERY_REQUIRED' });
  assert.deepEqual(readFileSync(file), bytes);
});

test('one writer at a time, in this process too, and the lock is given back after an error', async () => {
  const device = openDevice(created());
  assert.throws(() => requireLock(device), { code: 'DEVICE_NOT_LOCKED' });
  await assert.rejects(
    withLock(device, async () => {
      requireLock(device);
      await assert.rejects(
        withLock(device, () => assert.fail('twice'), { waitMilliseconds: 0 }),
        { code: 'DEVICE_BUSY' },
      );
      throw new RangeError('x');
    }),
    RangeError,
  );
  assert.throws(() => requireLock(device), { code: 'DEVICE_NOT_LOCKED' });
  assert.equal(await withLock(device, () => 'done', { waitMilliseconds: 0 }), 'done');
  closeDevice(device);
});

test('the system gives the lock back when its holder is killed', posix, async () => {
  const directory = created();
  const program = `
    import { openDevice, withLock } from ${JSON.stringify(join(import.meta.dirname, 'device.ts'))};
    await withLock(openDevice(${JSON.stringify(directory)}), async () => { console.log('held'); await new Promise((r) => setTimeout(r, 60000)); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const device = openDevice(directory);
  await assert.rejects(
    withLock(device, () => assert.fail('held'), { waitMilliseconds: 60 }),
    { code: 'DEVICE_BUSY' },
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(await withLock(device, () => 'free', { waitMilliseconds: 0 }), 'free');
  closeDevice(device);
});

test('the log is JSON lines, escaped, and turns over at its limit', () => {
  const directory = created();
  const device = openDevice(directory);
  device.log({ level: 'info', event: 'x', text: 'a\u001b[31m' });
  const file = join(directory, 'logs', 'device.log');
  assert.equal((JSON.parse(readFileSync(file, 'utf8')) as { text: string }).text, 'a\\u{1b}[31m');
  writeFileSync(file, 'x'.repeat((4 << 20) + 1));
  device.log({ level: 'info', event: 'y' });
  assert.equal(readFileSync(file, 'utf8').split('\n').length, 2);
  rmSync(join(directory, 'logs'), { recursive: true });
  mkdirSync(join(directory, 'grants', 'x'));
  device.log({ level: 'info', event: 'nowhere to write' });
  closeDevice(device);
});
