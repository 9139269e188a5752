import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { flushFileSystem, reportsFailedWrites } from './file-system-flush.ts';

test('flushes a file system that is known for it, and says so', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-flush-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const ext4 = process.platform === 'linux' && statfsSync(folder).type === 0xef53 && existsSync('/usr/bin/sync');
  const answer = await flushFileSystem(folder);
  if (ext4) assert.equal(answer, true);
  assert.equal(await flushFileSystem(join(folder, 'missing')), false);
});

test('never trusts another file system', { skip: process.platform !== 'linux' }, async () => {
  assert.equal(await flushFileSystem('/proc'), false);
});

test('never trusts a kernel that may hide failed writes', () => {
  for (const kernel of ['5.8.0', '5.15.0-91-generic', '6.1.0-18-amd64', '10.0']) assert.ok(reportsFailedWrites(kernel));
  for (const kernel of ['4.18.0-553.el8', '5.7.19', '', 'x']) assert.ok(!reportsFailedWrites(kernel));
});
