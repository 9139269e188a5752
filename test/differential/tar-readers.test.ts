/**
 * The device's own tar reader beside node-tar's: whatever ours accepts, both read to the same files with the same bytes; what node-tar
 * reads otherwise, or only ours might understand, is refused by ours. Archives are generated, honest and bent.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Parser } from 'tar';
import { TarReader } from '../../packages/protocol/src/node/archive/tar-reader.ts';
import { rawEntry, type RawEntry } from '../support/hostile-tar.ts';

interface ReadFile {
  readonly path: string;
  readonly executable: boolean;
  readonly content: string;
}

/** What node-tar reads; `strange` names what a device has no word for: other types and warnings. */
function byNodeTar(tar: Buffer): { files: ReadFile[]; strange: string[] } {
  const files: ReadFile[] = [];
  const strange: string[] = [];
  const parser = new Parser({
    onwarn: (code) => void strange.push(code),
    onReadEntry: (entry) => {
      const chunks: Buffer[] = [];
      entry.on('data', (chunk: Buffer) => void chunks.push(chunk));
      entry.on('end', () => {
        const { path, type, mode = 0 } = entry;
        if (type === 'File')
          files.push({ path, executable: (mode & 0o100) !== 0, content: Buffer.concat(chunks).toString('latin1') });
        else if (type !== 'Directory') strange.push(type);
      });
      entry.resume();
    },
  });
  parser.on('error', (error: Error) => void strange.push(error.message));
  parser.end(tar);
  return { files, strange };
}

/** What ours reads; null where it refuses. Any other throw is a fault. */
function byOurs(tar: Buffer, declared: { files: number; unpacked: number }): ReadFile[] | null {
  const files: { path: string; executable: boolean; content: string }[] = [];
  const reader = new TarReader(declared, {
    begin: ({ path, executable }) => void files.push({ path, executable, content: '' }),
    write: (chunk, start, end) => void (files.at(-1)!.content += chunk.toString('latin1', start, end)),
    end: () => undefined,
  });
  try {
    reader.push(tar);
    reader.finish();
    return files;
  } catch (error) {
    assert.match((error as { code?: string }).code ?? String(error), /^ARCHIVE_/);
    return null;
  }
}

const segment = fc.stringMatching(/^[a-z][a-zA-Z0-9._+@ -]{0,6}[a-z]$/);
const name = fc.oneof(
  fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
  fc.constantFrom('nul', 'a/../b', '/a', 'a//b', 'A', 'a', 'x'.repeat(99), 'caf\u00e9', 'a/', './a', 'a\n'),
);
const type = fc.oneof(
  { arbitrary: fc.constant('0'), weight: 12 },
  { arbitrary: fc.constantFrom('5', '\u0000', '1', '2', '3', '6', '7', 'x', 'g', 'L', 'K', 'S', 'D'), weight: 3 },
);
/** A few bytes anywhere in a header, which then gets its right checksum. */
const patch = fc.record({
  at: fc.integer({ min: 0, max: 511 }),
  bytes: fc
    .array(fc.constantFrom(0, 0x20, 0x2e, 0x2f, 0x30, 0x31, 0x37, 0x38, 0x41, 0x61, 0x80, 0xff), {
      minLength: 1,
      maxLength: 3,
    })
    .map((bytes) => Buffer.from(bytes)),
});
const content = fc.oneof(
  fc.constantFrom('', 'x'.repeat(512), 'y'.repeat(513)),
  fc.string({ maxLength: 40 }).map((text) => Buffer.from(text).toString('latin1')),
);
const entry: fc.Arbitrary<RawEntry> = fc.record(
  {
    name,
    content: content.map((text) => Buffer.from(text, 'latin1')),
    type,
    mode: fc.constantFrom('0000644', '0000755', '000644 ', '0004755', ' 000644', '0100644', ''),
    prefix: fc.oneof(fc.constant(''), segment, fc.constantFrom('p'.repeat(100), 'q/'.repeat(70), '.')),
    size: fc.constantFrom(
      '00000000001',
      '1',
      ' 1',
      '00000001000',
      '-1',
      '\u0080\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0001',
    ),
    link: fc.constantFrom('', 'a'),
    magic: fc.constantFrom(
      'ustar\u000000',
      'ustar  \u0000',
      'ustar\u0000\u0000\u0000',
      '\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000',
    ),
    patch,
  },
  { requiredKeys: ['name', 'content'] },
);
/** Most entries are honest, so that an archive of several is often one that both read. */
const honest = fc.record({ name: segment, content: content.map((text) => Buffer.from(text, 'latin1')) });
const entries = fc.array(fc.oneof({ arbitrary: honest, weight: 3 }, { arbitrary: entry, weight: 1 }), {
  minLength: 1,
  maxLength: 4,
});

type Bend = (tar: Buffer) => Buffer;
const bend: fc.Arbitrary<Bend> = fc.oneof(
  { arbitrary: fc.constant<Bend>((tar) => tar), weight: 6 },
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([at, change]): Bend => (tar) => {
    const bent = Buffer.from(tar);
    if (bent.length > 0) bent[at % bent.length]! ^= change;
    return bent;
  }),
  fc.nat(6).map(
    (blocks): Bend =>
      (tar) =>
        tar.subarray(0, Math.max(0, tar.length - blocks * 256)),
  ),
  fc.nat(30).map(
    (blocks): Bend =>
      (tar) =>
        Buffer.concat([tar, Buffer.alloc(blocks * 512)]),
  ),
  fc.nat().map((at): Bend => (tar) => {
    const cut = (at % (tar.length / 512 + 1)) * 512;
    return Buffer.concat([tar.subarray(0, cut), Buffer.alloc(512), tar.subarray(cut)]);
  }),
);

test('what our reader accepts, node-tar reads to the same files and bytes', () => {
  let accepted = 0;
  let withFiles = 0;
  let refused = 0;
  let readOtherwise = 0;
  fc.assert(
    fc.property(entries, bend, (list, change) => {
      const tar = change(Buffer.concat([...list.map(rawEntry), Buffer.alloc(1024)]));
      const theirs = byNodeTar(tar);
      const unpacked = theirs.files.reduce((sum, file) => sum + file.content.length, 0);
      // Declared is what node-tar found: nothing is refused for its numbers alone where the two agree.
      const ours = byOurs(tar, { files: theirs.files.length, unpacked });
      if (ours === null) {
        refused++;
        if (theirs.strange.length === 0 && theirs.files.length > 0) readOtherwise++;
        return;
      }
      accepted++;
      if (ours.length > 0) withFiles++;
      assert.deepEqual(ours, theirs.files);
      assert.deepEqual(theirs.strange, []);
    }),
    { numRuns: 8000, seed: 20261127 },
  );
  assert.ok(withFiles > 1000, `${withFiles} archives with files accepted, ${accepted} in all`);
  assert.ok(refused > 1000, `${refused} refused`);
  assert.ok(readOtherwise > 200, `${readOtherwise} that node-tar takes without a word are refused`);
});
