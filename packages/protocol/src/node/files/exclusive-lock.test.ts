import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { takeLock } from './exclusive-lock.ts';

const module = new URL('./exclusive-lock.ts', import.meta.url).href;

/** Counts up in a file that only the lock protects, and prints how often the lock was refused. */
const counting = `
  import { readFileSync, writeFileSync } from 'node:fs';
  import { takeLock } from ${JSON.stringify(module)};
  const [folder, times] = process.argv.slice(1);
  let refused = 0;
  for (let round = 0; round < Number(times); round++) {
    const lock = takeLock(folder + '/lock.db', 20_000);
    if (lock === null) { refused++; continue; }
    writeFileSync(folder + '/count', String(Number(readFileSync(folder + '/count', 'utf8')) + 1));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 5);
    lock.release();
  }
  console.log(refused);
`;

void test('processes that come together each get their turn, and never two at once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-lock-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  writeFileSync(join(folder, 'count'), '0');
  const [processes, times] = [6, 40];
  const refused = await Promise.all(
    Array.from({ length: processes }, async () => {
      const args = ['--input-type=module', '--eval', counting, folder, String(times)];
      return (await promisify(execFile)(process.execPath, args)).stdout.trim();
    }),
  );
  assert.deepEqual(refused, Array<string>(processes).fill('0'));
  assert.equal(readFileSync(join(folder, 'count'), 'utf8'), String(processes * times));
});

void test('a lock that is held is refused when the wait is over, and can be had once it is given back', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-lock-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const file = join(folder, 'lock.db');
  const first = takeLock(file);
  assert.ok(first);
  assert.equal(takeLock(file, 20), null);
  first.release();
  const second = takeLock(file);
  assert.ok(second);
  second.release();
});
