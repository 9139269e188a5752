import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { sha256 } from '../../text.ts';
import { verifyTree } from './verify-tree.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-tree-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let counter = 0;
const posix = process.platform !== 'win32';

const content: Record<string, Buffer> = {
  'bin/run': Buffer.from('#!/x\n'),
  'lib/deep/a.js': Buffer.from('one'),
  'lib/b.js': Buffer.alloc(2_500_000, 'two'),
  empty: Buffer.alloc(0),
};

function tree(extra: Record<string, Buffer> = {}) {
  const all = { ...content, ...extra };
  const root = join(scratch, `case-${counter++}`);
  for (const [path, bytes] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), bytes, { mode: path === 'bin/run' ? 0o755 : 0o644 });
  }
  const files = Object.entries(all).map(([path, bytes]) => ({
    path,
    sha256: sha256(bytes),
    length: bytes.length,
    executable: path === 'bin/run',
  }));
  return { root, files };
}

test('accepts a tree that is as it was unpacked', async () => {
  const { root, files } = tree();
  await verifyTree(root, files);
});

const changes: [string, (root: string) => void, string, boolean?][] = [
  ['a changed byte', (root) => writeFileSync(join(root, 'lib/deep/a.js'), 'onE'), 'lib/deep/a.js'],
  ['a shorter file', (root) => writeFileSync(join(root, 'lib/deep/a.js'), 'on'), 'lib/deep/a.js'],
  ['an appended file', (root) => writeFileSync(join(root, 'empty'), 'x'), 'empty'],
  ['a missing file', (root) => unlinkSync(join(root, 'empty')), 'empty'],
  ['a missing folder', (root) => rmSync(join(root, 'lib/deep'), { recursive: true }), 'lib/deep/a.js'],
  ['an extra file', (root) => writeFileSync(join(root, 'lib/extra.js'), ''), 'lib/extra.js'],
  ['an extra empty folder', (root) => mkdirSync(join(root, 'lib/more')), 'lib/more'],
  [
    'a file where a folder was',
    (root) => (rmSync(join(root, 'lib/deep'), { recursive: true }), writeFileSync(join(root, 'lib/deep'), '')),
    'lib/deep',
  ],
  ['a folder where a file was', (root) => (unlinkSync(join(root, 'empty')), mkdirSync(join(root, 'empty'))), 'empty'],
  ['everything gone', (root) => rmSync(root, { recursive: true }), ''],
  [
    'a link to the same content',
    (root) => (renameSync(join(root, 'empty'), `${root}-empty`), symlinkSync(`${root}-empty`, join(root, 'empty'))),
    'empty',
    true,
  ],
  [
    'a folder that became a link',
    (root) => (renameSync(join(root, 'lib'), `${root}-lib`), symlinkSync(`${root}-lib`, join(root, 'lib'))),
    'lib',
    true,
  ],
  ['an extra link', (root) => symlinkSync('empty', join(root, 'other')), 'other', true],
  [
    'a pipe where a file was',
    (root) => (unlinkSync(join(root, 'empty')), execFileSync('mkfifo', [join(root, 'empty')])),
    'empty',
    true,
  ],
  ['a lost permission to run', (root) => chmodSync(join(root, 'bin/run'), 0o644), 'bin/run', true],
  ['a new permission to run', (root) => chmodSync(join(root, 'empty'), 0o755), 'empty', true],
];

for (const [what, change, path, needsPosix] of changes)
  test(`tells ${what}`, { skip: needsPosix === true && !posix }, async () => {
    const { root, files } = tree();
    change(root);
    await assert.rejects(
      verifyTree(root, files),
      (error: Error & { code: string; context: { differences: { path: string }[] } }) => {
        assert.equal(error.code, 'ARCHIVE_TREE_CHANGED');
        assert.ok(
          error.context.differences.some((difference) => difference.path === path),
          JSON.stringify(error.context),
        );
        return true;
      },
    );
  });

test('tells a tree that became a file', async () => {
  const { root, files } = tree();
  rmSync(root, { recursive: true });
  writeFileSync(root, '');
  await assert.rejects(verifyTree(root, files), { code: 'ARCHIVE_TREE_CHANGED' });
});

test('a tree that cannot be read is another failure than one that changed', async () => {
  await assert.rejects(verifyTree(join(scratch, 'n'.repeat(5000)), []), { code: 'ARCHIVE_IO' });
});

test('a large tree is checked in a thread, with the same answer', async () => {
  const { root, files } = tree({ 'large.bin': Buffer.alloc(6 << 20, 'large') });
  await verifyTree(root, files);
  writeFileSync(join(root, 'lib/deep/a.js'), 'onE');
  await assert.rejects(verifyTree(root, files), { code: 'ARCHIVE_TREE_CHANGED' });
});

test('names only so many differences', async () => {
  const { root, files } = tree(
    Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`f${index}`, Buffer.alloc(1)])),
  );
  for (let index = 0; index < 100; index++) unlinkSync(join(root, `f${index}`));
  await assert.rejects(verifyTree(root, files), (error: Error & { context: { differences: unknown[] } }) => {
    assert.equal(error.context.differences.length, 20);
    return true;
  });
});

test('stops when told to', async () => {
  const { root, files } = tree({ 'large.bin': Buffer.alloc(6 << 20, 'large') });
  await assert.rejects(verifyTree(root, files, { signal: AbortSignal.abort() }), { code: 'ARCHIVE_CANCELLED' });
  const stop = new AbortController();
  const checking = verifyTree(root, files, { signal: stop.signal });
  stop.abort();
  await assert.rejects(checking, { code: 'ARCHIVE_CANCELLED' });
});
