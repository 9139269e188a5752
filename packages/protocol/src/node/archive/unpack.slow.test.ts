import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { constants } from 'node:zlib';
import {
  declare,
  rawEntry,
  rawTar,
  skippableFrame,
  zstd,
  type RawEntry,
} from '../../../../../test/support/hostile-tar.ts';
import { sha256 } from '../../text.ts';
import { readFully } from './archive-share.ts';
import { TreeWriter } from './tree-writer.ts';
import { unpackArchive } from './unpack.ts';
import { verifyTree } from './verify-tree.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-unpack-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let counter = 0;
const fresh = (): string => join(scratch, `case-${counter++}`);

function save(archive: Buffer): string {
  const file = fresh();
  writeFileSync(file, archive);
  return file;
}

/** The real totals of a tar with these entries. */
function totals(entries: readonly RawEntry[]) {
  const files = entries.filter(({ type }) => type === undefined || type === '0');
  return {
    files: files.length,
    unpacked: files.reduce((sum, { content }) => sum + Buffer.from(content ?? '').length, 0),
  };
}

async function unpack(archive: Buffer, declared: { files: number; unpacked: number }, changes: object = {}) {
  const into = fresh();
  const expect = { ...declare(archive, declared), ...changes };
  const result = await unpackArchive({ archive: save(archive), into, expect });
  return { into, files: result.files };
}

/** The refusal has this code and leaves no folder behind. */
async function refuses(
  code: string,
  archive: Buffer,
  declared: { files: number; unpacked: number },
  changes: object = {},
) {
  const into = fresh();
  const expect = { ...declare(archive, declared), ...changes };
  await assert.rejects(unpackArchive({ archive: save(archive), into, expect }), { code });
  assert.equal(existsSync(into), false, 'the folder is gone');
}

const good: RawEntry[] = [
  { name: 'bin/', type: '5', mode: '0000755' },
  { name: 'bin/tool', content: '#!/x\n', mode: '0000755' },
  { name: 'lib/data.bin', content: Buffer.alloc(3000, 7), mode: '0000600' },
  { name: 'empty', content: '' },
  { name: 'b'.repeat(100), prefix: 'deep/er', content: 'far' },
];

test('unpacks regular files with their content, digest and permission to run', async () => {
  const { into, files } = await unpack(zstd(rawTar(...good)), totals(good));
  const far = `deep/er/${'b'.repeat(100)}`;
  assert.deepEqual(files, [
    { path: 'bin/tool', sha256: sha256('#!/x\n'), length: 5, executable: true },
    { path: far, sha256: sha256('far'), length: 3, executable: false },
    { path: 'empty', sha256: sha256(''), length: 0, executable: false },
    { path: 'lib/data.bin', sha256: sha256(Buffer.alloc(3000, 7)), length: 3000, executable: false },
  ]);
  assert.equal(readFileSync(join(into, far), 'utf8'), 'far');
  if (process.platform !== 'win32') {
    assert.equal(statSync(join(into, 'bin/tool')).mode & 0o777, 0o755 & ~process.umask());
    assert.equal(statSync(join(into, 'lib/data.bin')).mode & 0o777, 0o644 & ~process.umask());
  }
});

test('takes an open file and leaves it open', async () => {
  const archive = zstd(rawTar({ name: 'a', content: 'x' }));
  const handle = await open(save(archive));
  const into = fresh();
  await unpackArchive({ archive: handle, into, expect: declare(archive, { files: 1, unpacked: 1 }) });
  assert.equal(readFileSync(join(into, 'a'), 'utf8'), 'x');
  assert.equal((await handle.stat()).size, archive.length);
  await handle.close();
});

test('accepts an archive without files, and folders without files are not made', async () => {
  const { into, files } = await unpack(zstd(rawTar({ name: 'empty/', type: '5' })), { files: 0, unpacked: 0 });
  assert.deepEqual(files, []);
  assert.deepEqual(readdirSync(into), []);
});

test('accepts numbers that are absent where a device has no use for them', async () => {
  const tar = rawTar({ name: 'a', content: 'x', patch: { at: 108, bytes: Buffer.alloc(16) } });
  assert.equal((await unpack(zstd(tar), { files: 1, unpacked: 1 })).files.length, 1);
});

test('accepts the record padding of other tar programs', async () => {
  const tar = Buffer.concat([rawEntry({ name: 'a', content: 'x' }), Buffer.alloc(10240 - 1024)]);
  assert.equal((await unpack(zstd(tar), { files: 1, unpacked: 1 })).files.length, 1);
});

const hostileEntries: [string, string, RawEntry[]][] = [
  ['ARCHIVE_ENTRY', 'a symbolic link', [{ name: 'a', type: '2', link: '/etc/passwd' }]],
  [
    'ARCHIVE_ENTRY',
    'a hard link',
    [
      { name: 'a', content: '' },
      { name: 'b', type: '1', link: 'a' },
    ],
  ],
  ['ARCHIVE_ENTRY', 'a character device', [{ name: 'a', type: '3' }]],
  ['ARCHIVE_ENTRY', 'a block device', [{ name: 'a', type: '4' }]],
  ['ARCHIVE_ENTRY', 'a pipe', [{ name: 'a', type: '6' }]],
  ['ARCHIVE_ENTRY', 'a contiguous file', [{ name: 'a', type: '7' }]],
  ['ARCHIVE_ENTRY', 'a file of the old type', [{ name: 'a', type: '\u0000' }]],
  ['ARCHIVE_ENTRY', 'a pax header', [{ name: 'a', type: 'x', content: '19 path=../../evil\n' }]],
  ['ARCHIVE_ENTRY', 'a global pax header', [{ name: 'a', type: 'g', content: '10 mtime=1\n' }]],
  ['ARCHIVE_ENTRY', 'a GNU long name', [{ name: '././@LongLink', type: 'L', content: 'x' }]],
  ['ARCHIVE_ENTRY', 'a GNU sparse file', [{ name: 'a', type: 'S' }]],
  ['ARCHIVE_ENTRY', 'a regular file that names a link', [{ name: 'a', link: 'b' }]],
  ['ARCHIVE_ENTRY', 'setuid', [{ name: 'a', mode: '0004755' }]],
  ['ARCHIVE_ENTRY', 'setgid', [{ name: 'a', mode: '0002755' }]],
  ['ARCHIVE_ENTRY', 'a sticky file', [{ name: 'a', mode: '0001755' }]],
  ['ARCHIVE_ENTRY', 'a setgid folder', [{ name: 'a/', type: '5', mode: '0002755' }]],
  ['ARCHIVE_ENTRY', 'a folder with content', [{ name: 'a/', type: '5', content: 'x' }]],
  ['ARCHIVE_NAME', 'a name above the folder', [{ name: '../evil', content: 'x' }]],
  ['ARCHIVE_NAME', 'a parent segment in the prefix', [{ name: 'evil', prefix: 'a/..', content: 'x' }]],
  ['ARCHIVE_NAME', 'an absolute name', [{ name: '/tmp/evil' }]],
  ['ARCHIVE_NAME', 'a leading dot segment', [{ name: './a' }]],
  ['ARCHIVE_NAME', 'a folder above the folder', [{ name: '../', type: '5' }]],
  ['ARCHIVE_NAME', 'a file with a trailing slash', [{ name: 'a/' }]],
  ['ARCHIVE_NAME', 'a backslash', [{ name: '..\\evil' }]],
  ['ARCHIVE_NAME', 'a reserved name', [{ name: 'x/nul.txt' }]],
  ['ARCHIVE_NAME', 'a name outside ASCII', [{ name: 'caf\u00e9' }]],
  ['ARCHIVE_NAME', 'no name', [{ name: '' }]],
  ['ARCHIVE_COLLISION', 'the same name twice', [{ name: 'a' }, { name: 'a' }]],
  ['ARCHIVE_COLLISION', 'names equal but for case', [{ name: 'a' }, { name: 'A' }]],
  ['ARCHIVE_COLLISION', 'folders equal but for case', [{ name: 'a/b' }, { name: 'A/c' }]],
  ['ARCHIVE_COLLISION', 'a file below a file', [{ name: 'a' }, { name: 'a/b' }]],
  ['ARCHIVE_DAMAGED', 'a wrong checksum', [{ name: 'a', checksum: '000001\u0000 ' }]],
  ['ARCHIVE_DAMAGED', 'the GNU form of the magic', [{ name: 'a', magic: 'ustar  \u0000' }]],
  ['ARCHIVE_DAMAGED', 'no magic', [{ name: 'a', magic: '' }]],
  ['ARCHIVE_DAMAGED', 'bytes after the end of a name', [{ name: 'a', patch: { at: 50, bytes: Buffer.from('evil') } }]],
  [
    'ARCHIVE_DAMAGED',
    'bytes after the end of a prefix',
    [{ name: 'a', prefix: 'b', patch: { at: 400, bytes: Buffer.from('evil') } }],
  ],
  ['ARCHIVE_DAMAGED', 'bytes outside the fields', [{ name: 'a', patch: { at: 505, bytes: Buffer.from('x') } }]],
  [
    'ARCHIVE_DAMAGED',
    'a base-256 size',
    [{ name: 'a', patch: { at: 124, bytes: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) } }],
  ],
  ['ARCHIVE_DAMAGED', 'a negative size', [{ name: 'a', size: '-0000000001' }]],
  ['ARCHIVE_DAMAGED', 'an empty size', [{ name: 'a', size: '' }]],
  ['ARCHIVE_DAMAGED', 'digits after the end of a size', [{ name: 'a', size: '1 1' }]],
  ['ARCHIVE_DAMAGED', 'a mode that is no number', [{ name: 'a', mode: 'rwxrwxr' }]],
  ['ARCHIVE_DAMAGED', 'a size without an end', [{ name: 'a', size: '000000000000' }]],
  [
    'ARCHIVE_DAMAGED',
    'a checksum without an end',
    [{ name: 'a', checksum: `00${rawEntry({ name: 'a' }).toString('latin1', 148, 154)}` }],
  ],
  ...[108, 116, 136, 329, 337].map((at): [string, string, RawEntry[]] => [
    'ARCHIVE_DAMAGED',
    `a base-256 number in the unused field at ${at}`,
    [{ name: 'a', patch: { at, bytes: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 1]) } }],
  ]),
  [
    'ARCHIVE_DAMAGED',
    'bytes between content and next header',
    [{ name: 'a', content: 'x', padding: Buffer.alloc(511, 1) }],
  ],
];

for (const [code, what, entries] of hostileEntries)
  test(`refuses ${what}`, () => refuses(code, zstd(rawTar(...entries)), totals(entries)));

const one: RawEntry = { name: 'a', content: 'x'.repeat(600) };
const oneTotals = totals([one]);

test('refuses a bomb at its first byte above what is declared', async () => {
  await refuses('ARCHIVE_DECLARED', zstd(rawTar(one)), { files: 1, unpacked: 599 });
  await refuses('ARCHIVE_DECLARED', zstd(rawTar({ name: 'a', size: '77777777777' })), { files: 1, unpacked: 600 });
});

test('refuses fewer bytes or files than declared', async () => {
  await refuses('ARCHIVE_DECLARED', zstd(rawTar(one)), { files: 1, unpacked: 601 });
  await refuses('ARCHIVE_DECLARED', zstd(rawTar(one)), { files: 2, unpacked: 600 });
});

test('refuses more files than declared', async () => {
  await refuses('ARCHIVE_DECLARED', zstd(rawTar(one, { name: 'b' })), { files: 1, unpacked: 600 });
});

test('refuses endless folder entries', async () => {
  const folder = rawEntry({ name: 'a/', type: '5' });
  const tar = Buffer.concat([...Array<Buffer>(100_001).fill(folder), Buffer.alloc(1024)]);
  await refuses('ARCHIVE_LIMIT', zstd(tar), { files: 0, unpacked: 0 });
});

test('refuses totals beyond the bounds before it makes the folder', async () => {
  await refuses('ARCHIVE_LIMIT', zstd(rawTar(one)), { files: 1, unpacked: 2 ** 41 });
});

test('refuses a tar without its closing blocks', async () => {
  await refuses('ARCHIVE_DAMAGED', zstd(rawEntry(one)), oneTotals);
  await refuses('ARCHIVE_DAMAGED', zstd(Buffer.concat([rawEntry(one), Buffer.alloc(512)])), oneTotals);
  await refuses('ARCHIVE_DAMAGED', zstd(rawTar(one).subarray(0, 700)), oneTotals);
  await refuses('ARCHIVE_DAMAGED', zstd(Buffer.alloc(0)), { files: 0, unpacked: 0 });
});

test('refuses data after the end of the tar', async () => {
  await refuses('ARCHIVE_DAMAGED', zstd(Buffer.concat([rawTar(one), rawTar({ name: 'b' })])), oneTotals);
  await refuses('ARCHIVE_DAMAGED', zstd(Buffer.concat([rawTar(one), Buffer.alloc(100)])), oneTotals);
  await refuses('ARCHIVE_DAMAGED', zstd(Buffer.concat([rawTar(one), Buffer.alloc(512, 1)])), oneTotals);
  await refuses('ARCHIVE_DAMAGED', zstd(Buffer.concat([rawTar(one), Buffer.alloc(10240)])), oneTotals);
});

test('refuses an entry after only one closing block', async () => {
  const tar = Buffer.concat([rawEntry(one), Buffer.alloc(512), rawTar({ name: 'b' })]);
  await refuses('ARCHIVE_DAMAGED', zstd(tar), { files: 2, unpacked: 600 });
});

test('refuses anything but one zstd frame', async () => {
  const archive = zstd(rawTar(one));
  await refuses('ARCHIVE_DAMAGED', rawTar(one), oneTotals);
  await refuses('ARCHIVE_DAMAGED', Buffer.alloc(0), { files: 0, unpacked: 0 });
  await refuses('ARCHIVE_DAMAGED', Buffer.concat([archive, zstd(Buffer.alloc(0))]), oneTotals);
  await refuses('ARCHIVE_DAMAGED', Buffer.concat([archive, skippableFrame(Buffer.from('hidden'))]), oneTotals);
  await refuses('ARCHIVE_DAMAGED', Buffer.concat([skippableFrame(Buffer.from('hidden')), archive]), oneTotals);
  await refuses('ARCHIVE_DAMAGED', Buffer.concat([archive, Buffer.from([0])]), oneTotals);
});

test('refuses a frame that is cut short, wherever', async () => {
  const archive = zstd(rawTar(one));
  for (let length = 1; length < archive.length; length++)
    await refuses('ARCHIVE_DAMAGED', archive.subarray(0, length), oneTotals);
});

test('refuses every single flipped byte, even where it is signed so', async () => {
  const archive = zstd(rawTar({ name: 'a', content: 'hello' }));
  for (let at = 0; at < archive.length; at++) {
    const flipped = Buffer.from(archive);
    flipped[at]! ^= 0x10;
    const into = fresh();
    const expect = declare(flipped, { files: 1, unpacked: 5 });
    await assert.rejects(unpackArchive({ archive: save(flipped), into, expect }), (error: Error & { code?: string }) =>
      /^ARCHIVE_/.test(error.code ?? ''),
    );
    assert.equal(existsSync(into), false);
  }
});

test('refuses a window beyond the bound', async () => {
  const archive = zstd(rawTar(one), { [constants.ZSTD_c_contentSizeFlag]: 0, [constants.ZSTD_c_windowLog]: 27 });
  const huge = Buffer.from(archive);
  // Frame header descriptor without single segment: the next byte is the window.
  huge[4]! &= ~0b1110_0000;
  const frame = Buffer.concat([huge.subarray(0, 5), Buffer.from([(28 - 10) << 3]), huge.subarray(5)]);
  await refuses('ARCHIVE_LIMIT', frame, oneTotals);
  const single = Buffer.from('28b52ffda4ffffffff010000', 'hex');
  await refuses('ARCHIVE_LIMIT', single, oneTotals);
});

test('refuses a frame that asks for a dictionary', async () => {
  await refuses('ARCHIVE_DAMAGED', Buffer.from('28b52ffd210101010000', 'hex'), oneTotals);
});

test('refuses an archive of another length or digest than signed', async () => {
  const archive = zstd(rawTar(one));
  await refuses('ARCHIVE_DIGEST', archive, oneTotals, { length: archive.length - 1 });
  await refuses('ARCHIVE_DIGEST', archive, oneTotals, { length: archive.length + 1 });
  await refuses('ARCHIVE_DIGEST', archive, oneTotals, { sha256: sha256('other') });
});

test('refuses an archive that becomes shorter while it is read', async () => {
  const handle = await open(save(Buffer.alloc(10)));
  assert.throws(() => readFully(handle.fd, Buffer.alloc(100), 0, 11), { code: 'ARCHIVE_DIGEST' });
  await handle.close();
});

test('refuses to unpack into something that exists, and leaves it alone', async () => {
  const archive = zstd(rawTar(one));
  const into = fresh();
  mkdirSync(into);
  writeFileSync(join(into, 'mine'), '');
  const expect = declare(archive, oneTotals);
  await assert.rejects(unpackArchive({ archive: save(archive), into, expect }), { code: 'ARCHIVE_TARGET' });
  assert.deepEqual(readdirSync(into), ['mine']);
  await assert.rejects(unpackArchive({ archive: save(archive), into: join(into, 'no', 'where'), expect }), {
    code: 'ARCHIVE_TARGET',
  });
  const below = join(save(archive), 'below-a-file');
  await assert.rejects(unpackArchive({ archive: save(archive), into: below, expect }), { code: 'ARCHIVE_IO' });
});

test('refuses an archive that is missing or a link', async () => {
  const archive = zstd(rawTar(one));
  const expect = declare(archive, oneTotals);
  await assert.rejects(unpackArchive({ archive: join(scratch, 'nothing'), into: fresh(), expect }), {
    code: 'ARCHIVE_IO',
  });
  const link = fresh();
  symlinkSync(save(archive), link);
  await assert.rejects(unpackArchive({ archive: link, into: fresh(), expect }), { code: 'ARCHIVE_IO' });
});

test('never writes through a link that stands in the way', () => {
  const root = fresh();
  const outside = fresh();
  mkdirSync(root);
  mkdirSync(outside);
  symlinkSync(outside, join(root, 'a'));
  writeFileSync(join(outside, 'victim'), 'old');
  symlinkSync(join(outside, 'victim'), join(root, 'b'));
  const entry = { kind: 'file', size: 1, executable: false } as const;
  const writer = () => new TreeWriter(root, { index: 0, count: 1 });
  assert.throws(() => writer().begin({ ...entry, path: 'a/x' }), { code: 'ARCHIVE_ENTRY' });
  assert.throws(() => writer().begin({ ...entry, path: 'b' }), { code: 'ARCHIVE_IO' });
  assert.deepEqual(readdirSync(outside), ['victim']);
  assert.equal(readFileSync(join(outside, 'victim'), 'utf8'), 'old');
});

test('a full disk has its own code', { skip: process.platform === 'linux' ? false : 'needs /dev/full' }, async () => {
  const { archiveFailure } = await import('./archive-failure.ts');
  assert.throws(
    () => {
      try {
        writeFileSync('/dev/full', 'x');
      } catch (cause) {
        throw archiveFailure('writing', cause);
      }
    },
    { code: 'ARCHIVE_DISK_FULL' },
  );
});

test('stops when told to, before and while it reads', async () => {
  const archive = zstd(rawTar(one));
  const expect = declare(archive, oneTotals);
  const before = fresh();
  await assert.rejects(unpackArchive({ archive: save(archive), into: before, expect, signal: AbortSignal.abort() }), {
    code: 'ARCHIVE_CANCELLED',
  });
  assert.equal(existsSync(before), false);
});

const many: RawEntry[] = Array.from({ length: 400 }, (_, index) => ({
  name: `folder-${index % 7}/file-${index}`,
  content: Buffer.alloc(index * 97, index),
}));

test('several threads make the same tree as one', async () => {
  const archive = zstd(rawTar(...many));
  const progress: number[] = [];
  const into = fresh();
  const { files } = await unpackArchive({
    archive: save(archive),
    into,
    expect: declare(archive, totals(many)),
    onProgress: (done) => progress.push(done),
  });
  assert.equal(files.length, many.length);
  for (const { name, content } of many) {
    const file = files.find(({ path }) => path === name)!;
    assert.equal(file.sha256, sha256(content as Buffer));
    assert.deepEqual(readFileSync(join(into, name)), content);
  }
  assert.equal(progress.at(-1), archive.length);
});

test('thousands of files are flushed together or each, and are the same', async () => {
  const files: RawEntry[] = Array.from({ length: 1200 }, (_, index) => ({ name: `f/${index}`, content: `${index}` }));
  const { into, files: unpacked } = await unpack(zstd(rawTar(...files)), totals(files));
  await verifyTree(into, unpacked);
});

test('threads refuse as one does, and nothing stays', async () => {
  const bad = [...many, { name: 'x', mode: '0004755' }];
  await refuses('ARCHIVE_ENTRY', zstd(rawTar(...bad)), totals(bad));
  const archive = zstd(rawTar(...many));
  await refuses('ARCHIVE_DIGEST', archive, totals(many), { sha256: sha256('other') });
});

test('threads stop when told to', async () => {
  const archive = zstd(rawTar(...many));
  const into = fresh();
  const stop = new AbortController();
  await assert.rejects(
    unpackArchive({
      archive: save(archive),
      into,
      expect: declare(archive, totals(many)),
      signal: stop.signal,
      onProgress: () => stop.abort(),
    }),
    { code: 'ARCHIVE_CANCELLED' },
  );
  assert.equal(existsSync(into), false);
});
