import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TreeWriter } from './tree-writer.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-writer-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const file = (path: string, size = 0) => ({ kind: 'file', path, size, executable: false }) as const;

test('a folder that cannot be made is a coded failure', () => {
  const writer = new TreeWriter(join(scratch, 'missing'), { index: 0, count: 1 });
  assert.throws(() => writer.begin(file('a/x')), { code: 'ARCHIVE_IO' });
});

test('a file that cannot be made durable is a coded failure', async () => {
  const writer = new TreeWriter(scratch, { index: 0, count: 1 });
  for (const path of ['one', 'two', 'three']) {
    writer.begin(file(path));
    writer.end();
  }
  unlinkSync(join(scratch, 'two'));
  await assert.rejects(writer.flush(), { code: 'ARCHIVE_IO' });
});

test('shares divide the files between them, by size', () => {
  const sizes = [5_000_000, 10, 10, 10, 5_000_000, 4_000_000];
  const taken = [0, 1].map((index) => {
    const writer = new TreeWriter(mkdtempSync(join(scratch, 'share-')), { index, count: 2 });
    for (const [number, size] of sizes.entries()) {
      writer.begin(file(`f${number}`, size));
      writer.write(Buffer.alloc(size), 0, size);
      writer.end();
    }
    return writer.files.map(({ path }) => path);
  });
  assert.deepEqual(taken, [
    ['f0', 'f5'],
    ['f1', 'f2', 'f3', 'f4'],
  ]);
});
