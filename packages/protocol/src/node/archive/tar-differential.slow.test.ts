/**
 * Compares the device's reader with node-tar's: what the device accepts, node-tar must read as the same entries with the same
 * bytes and without a warning. So the device must refuse whatever node-tar would read differently; it may refuse more.
 */
import assert from 'node:assert/strict';
import { createHash, type Hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { Parser, type ReadEntry } from 'tar';
import { rawEntry, rawTar, type RawEntry } from '../../../../../test/support/hostile-tar.ts';
import { sha256 } from '../../text.ts';
import { packArchive } from './pack.ts';
import type { TarEntry } from './tar-header.ts';
import { TarReader } from './tar-reader.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-tar-differential-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let counter = 0;

interface Entry {
  readonly kind: string;
  readonly path: string;
  readonly size: number;
  readonly executable: boolean;
  /** Of its content. */
  readonly sha256: string;
}

/** The files that the device's reader reports, or the code of its refusal. The declared totals are those of the tar itself. */
function readByDevice(tar: Buffer): { readonly files: Entry[] } | { readonly refused: string } {
  const read = (declared: { files: number; unpacked: number }, finish: boolean): Entry[] => {
    const files: Entry[] = [];
    let file: TarEntry;
    let digest: Hash;
    const reader = new TarReader(declared, {
      begin: (entry) => ((file = entry), (digest = createHash('sha256'))),
      write: (chunk, start, end) => void digest.update(chunk.subarray(start, end)),
      end: () => void files.push({ ...file, sha256: digest.digest('hex') }),
    });
    reader.push(tar);
    if (finish) reader.finish();
    return files;
  };
  try {
    const files = read({ files: 1000, unpacked: 2 ** 40 }, false);
    const unpacked = files.reduce((sum, { size }) => sum + size, 0);
    return { files: read({ files: files.length, unpacked }, true) };
  } catch (error) {
    return { refused: (error as { code?: string }).code ?? String(error) };
  }
}

/** Everything that node-tar reports, with its warnings. */
function readByNodeTar(tar: Buffer): { readonly entries: Entry[]; readonly complaints: string[] } {
  const read: { readonly entry: Omit<Entry, 'sha256'>; readonly digest: Hash }[] = [];
  const complaints: string[] = [];
  const parser = new Parser({
    maxDecompressionRatio: Infinity,
    onwarn: (code, message) => complaints.push(`${code} ${String(message)}`),
    onReadEntry: (entry: ReadEntry) => {
      const kind = entry.type === 'File' ? 'file' : entry.type === 'Directory' ? 'folder' : entry.type;
      const path = kind === 'folder' ? entry.path.replace(/\/$/, '') : entry.path;
      const executable = kind === 'file' && ((entry.mode ?? 0) & 0o100) !== 0;
      const digest = createHash('sha256');
      read.push({ entry: { kind, path, size: entry.size, executable }, digest });
      entry.on('data', (bytes) => void digest.update(bytes));
    },
  });
  parser.on('meta', () => complaints.push('an extended header'));
  parser.on('ignoredEntry', () => complaints.push('an entry it does not know'));
  parser.on('error', (error) => complaints.push(String(error)));
  try {
    parser.end(tar);
  } catch (error) {
    complaints.push(String(error));
  }
  return { entries: read.map(({ entry, digest }) => ({ ...entry, sha256: digest.digest('hex') })), complaints };
}

/** The outcome of a case; throws where the device accepts what node-tar reads differently. */
function compare(tar: Buffer): 'accepted' | 'both refuse' | 'only the device refuses' {
  const device = readByDevice(tar);
  const { entries, complaints } = readByNodeTar(tar);
  if ('refused' in device) {
    assert.match(device.refused, /^ARCHIVE_/);
    return complaints.length > 0 ? 'both refuse' : 'only the device refuses';
  }
  assert.deepEqual(
    entries.filter(({ kind }) => kind !== 'folder'),
    device.files,
  );
  // An empty component packs to a tar without entries, which node-tar does not recognise as a tar.
  assert.deepEqual(complaints, entries.length === 0 ? ['TAR_BAD_ARCHIVE Unrecognized archive format'] : []);
  return 'accepted';
}

const segment = fc.stringMatching(/^[A-Za-z0-9_+@-]{1,12}$/);
const longSegment = fc.integer({ min: 90, max: 99 }).map((length) => 'n'.repeat(length));
const path = fc
  .tuple(fc.array(segment, { maxLength: 3 }), fc.oneof({ weight: 4, arbitrary: segment }, longSegment))
  .map(([folders, name]) => [...folders, name].join('/'))
  .filter((text) => text.length <= 120 && !/(^|\/)(con|prn|aux|nul|com\d|lpt\d)($|\/)/i.test(text));
const content = fc.oneof(
  fc.constant(Buffer.alloc(0)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(Buffer.from('#!/bin/sh\n'), Buffer.from('\u007fELF....', 'latin1'), Buffer.alloc(512, 1)),
  fc.integer({ min: 500, max: 3000 }).map((length) => Buffer.alloc(length, 'countersign')),
);
/** Files that can stand beside each other. */
const tree = fc
  .uniqueArray(fc.tuple(path, content), { minLength: 1, maxLength: 6, selector: ([name]) => name.toLowerCase() })
  .filter((files) => {
    const folders = new Map<string, string>();
    for (const [name] of files)
      for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
        const folder = name.slice(0, at);
        if ((folders.get(folder.toLowerCase()) ?? folder) !== folder) return false;
        folders.set(folder.toLowerCase(), folder);
      }
    return files.every(([name]) => !folders.has(name.toLowerCase()));
  });

async function packedTar(files: readonly (readonly [string, Buffer])[]): Promise<Buffer> {
  const sourceDir = join(scratch, `tree-${counter++}`);
  for (const [name, bytes] of files) {
    mkdirSync(dirname(join(sourceDir, name)), { recursive: true });
    writeFileSync(join(sourceDir, name), bytes);
  }
  const output = `${sourceDir}.tar.zst`;
  await packArchive({ sourceDir, output });
  return zstdDecompressSync(readFileSync(output));
}

test('what pack writes is read alike by the device and by node-tar', async () => {
  let longest = 0;
  await fc.assert(
    fc.asyncProperty(tree, async (files) => {
      const tar = await packedTar(files);
      assert.equal(compare(tar), 'accepted');
      const sorted = files.toSorted(([a], [b]) => (a < b ? -1 : 1));
      const wanted = sorted.map(([name, bytes]) => [name, sha256(bytes)]);
      assert.deepEqual(
        readByNodeTar(tar).entries.map((entry) => [entry.path, entry.sha256]),
        wanted,
      );
      longest = Math.max(longest, ...files.map(([name]) => name.length));
    }),
    { numRuns: 150 },
  );
  assert.ok(longest > 100, 'some path needed the prefix field');
});

/** Where the fields of a header stand, including those that the device does not use. */
const fields = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  link: [157, 100],
  magic: [257, 8],
  uname: [265, 32],
  gname: [297, 32],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
  rest: [500, 12],
} as const;
type Field = keyof typeof fields;
const numbers: readonly Field[] = ['mode', 'uid', 'gid', 'size', 'mtime', 'checksum', 'major', 'minor'];

/** Puts the right checksum, six digits with NUL and space, into the header at `at`. */
function mendChecksum(tar: Buffer, at: number): void {
  tar.fill(' ', at + 148, at + 156);
  const sum = tar.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, at + 148, 8, 'latin1');
}

/** Where the headers stand in a tar that pack wrote. */
function headersOf(tar: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; tar[at] !== 0;) {
    found.push(at);
    at += 512 + 512 * Math.ceil(parseInt(tar.toString('latin1', at + 124, at + 134), 8) / 512);
  }
  return found;
}

/** Forms of a number that readers take differently. `room` is the length of the field. */
const numberForms: readonly ((value: number, room: number) => Buffer)[] = [
  (value, room) => Buffer.from(value.toString(8).padStart(room, '0')), // no end
  (value, room) => Buffer.from(value.toString(8).padStart(room - 1, '0') + ' '),
  (value, room) => Buffer.from(value.toString(8).padStart(room - 2, '0') + ' \u0000'),
  (value, room) => Buffer.from(value.toString(8).padStart(room - 1, ' ') + '\u0000'),
  (value, room) => Buffer.from(`${value.toString(8)}\u0000`.padEnd(room, '7')),
  (value, room) => Buffer.from(`${value.toString(8)} `.padEnd(room, '\u0000')),
  (value, room) => Buffer.from(`-${value.toString(8)}`.padEnd(room, '\u0000')),
  (value, room) => Buffer.from(`+${value.toString(8)}`.padEnd(room, '\u0000')),
  (value, room) => Buffer.from(`0x${value.toString(16)}`.padEnd(room, '\u0000')),
  (value, room) => Buffer.from(`${value.toString(8)}9`.padEnd(room, '\u0000')),
  (_, room) => Buffer.alloc(room),
  (_, room) => Buffer.alloc(room, ' '),
  (_, room) => Buffer.alloc(room, 0xff),
  (value, room) => {
    const base256 = Buffer.alloc(room);
    base256[0] = 0x80;
    base256.writeUInt32BE(value, room - 4);
    return base256;
  },
  (_, room) => Buffer.concat([Buffer.from([0x80]), Buffer.alloc(room - 1, 0xff)]),
];

const pax = (key: string, value: string): string => {
  const line = ` ${key}=${value}\n`;
  const digits = String(line.length + 2).length;
  return `${line.length + digits}${line}`;
};
const strangers: readonly (readonly RawEntry[])[] = [
  [{ name: 'PaxHeader', type: 'x', content: pax('path', 'elsewhere') }],
  [{ name: 'PaxHeader', type: 'x', content: pax('size', '0') }],
  [{ name: 'PaxHeader', type: 'x', content: pax('linkpath', '/etc/passwd') }],
  [{ name: 'PaxHeader', type: 'g', content: pax('path', 'elsewhere') }],
  [{ name: 'PaxHeader', type: 'X', content: pax('path', 'elsewhere') }],
  [{ name: '././@LongLink', type: 'L', content: 'elsewhere\u0000' }],
  [{ name: '././@LongLink', type: 'K', content: 'elsewhere\u0000' }],
  [{ name: 'link', type: '2', link: '/etc/passwd' }],
  [{ name: 'hard', type: '1', link: 'a' }],
  [{ name: 'device', type: '3' }],
  [{ name: 'pipe', type: '6' }],
  [{ name: 'contiguous', type: '7', content: 'x' }],
  [{ name: 'old', type: '\u0000', content: 'x' }],
  [{ name: 'sparse', type: 'S', content: 'x' }],
  [{ name: 'dump', type: 'D', content: 'x' }],
  [{ name: 'unknown', type: 'Z', content: 'x' }],
  [{ name: 'folder/', type: '5' }],
  [{ name: 'folder', type: '5' }],
  [{ name: '', prefix: 'folder', type: '5' }],
  [{ name: 'folder/', type: '5', content: 'x' }],
  [{ name: 'folder/' }],
  [{ name: 'extra', content: 'x', mode: '0000755' }],
  [{ name: 'extra', content: 'x', mode: '0004755' }],
  [{ name: 'portable', content: 'x', patch: { at: 108, bytes: Buffer.alloc(16) } }],
  [{ name: 'caf\u00e9', content: 'x' }],
  [{ name: 'a\u0000\nb', content: 'x' }],
  [{ name: 'CASE' }, { name: 'case' }],
  [{ name: 'twice' }, { name: 'twice' }],
];

type Mutation = (tar: Buffer, headers: readonly number[], random: (below: number) => number) => Buffer;

const flip =
  (mend: boolean): Mutation =>
  (tar, headers, random) => {
    const at = headers[random(headers.length)]!;
    const names = Object.keys(fields) as Field[];
    const [start, length] = fields[names[random(names.length)]!];
    tar[at + start + random(length)]! ^= random(2) === 0 ? 1 << random(8) : 1 + random(255);
    if (mend) mendChecksum(tar, at);
    return tar;
  };

const mutations = {
  'a byte of a header, the checksum left': flip(false),
  'a byte of a header, the checksum mended': flip(true),
  'a number in another form': (tar, headers, random) => {
    const at = headers[random(headers.length)]!;
    const field = numbers[random(numbers.length)]!;
    const [start, length] = fields[field];
    const value = parseInt(tar.toString('latin1', at + start, at + start + length), 8);
    numberForms[random(numberForms.length)]!(value, length).copy(tar, at + start, 0, length);
    if (field !== 'checksum') mendChecksum(tar, at);
    return tar;
  },
  'a letter of a name in the other case': (tar, headers, random) => {
    const at = headers[random(headers.length)]!;
    const other = headers[random(headers.length)]!;
    tar.copy(tar, at, other, other + 100);
    tar.copy(tar, at + 345, other + 345, other + 500);
    if (tar[at]! >= 0x40) tar[at]! ^= 0x20;
    mendChecksum(tar, at);
    return tar;
  },
  'a byte of the content or the padding': (tar, headers, random) => {
    const places = headers.flatMap((at, index) => {
      const end = headers[index + 1] ?? tar.length - 1024;
      return end > at + 512 ? [[at + 512, end] as const] : [];
    });
    const [start, end] = places[random(Math.max(1, places.length))] ?? [0, 1];
    tar[start + random(end - start)]! ^= 1 + random(255);
    return tar;
  },
  'cut short': (tar, _, random) =>
    tar.subarray(0, random(2) === 0 ? random(tar.length) : 512 * random(tar.length / 512)),
  'blocks after the end': (tar, _, random) =>
    Buffer.concat([
      tar,
      [
        Buffer.alloc(512),
        Buffer.alloc(512 * random(24)),
        Buffer.alloc(random(512)),
        Buffer.alloc(512, 1),
        rawTar({ name: 'after', content: 'x' }),
      ][random(5)]!,
    ]),
  'blocks between entries': (tar, headers, random) => {
    const at = headers[random(headers.length)]!;
    const block = [Buffer.alloc(512), Buffer.alloc(1024), Buffer.alloc(512, 1), tar.subarray(at, at + 512)][random(4)]!;
    return Buffer.concat([tar.subarray(0, at), block, tar.subarray(at)]);
  },
  'another entry between': (tar, headers, random) => {
    const at = headers[random(headers.length)]!;
    const entries = strangers[random(strangers.length)]!.map(rawEntry);
    return Buffer.concat([tar.subarray(0, at), ...entries, tar.subarray(at)]);
  },
} satisfies Record<string, Mutation>;

/** How many of 600 cases the device must at least accept and refuse; with fewer the comparison would show nothing. */
const least: Record<keyof typeof mutations, { readonly accepted: number; readonly refused: number }> = {
  'a byte of a header, the checksum left': { accepted: 0, refused: 500 },
  'a byte of a header, the checksum mended': { accepted: 80, refused: 250 },
  'a number in another form': { accepted: 60, refused: 300 },
  'a letter of a name in the other case': { accepted: 60, refused: 200 },
  'a byte of the content or the padding': { accepted: 100, refused: 150 },
  'cut short': { accepted: 0, refused: 600 },
  'blocks after the end': { accepted: 100, refused: 200 },
  'blocks between entries': { accepted: 0, refused: 600 },
  'another entry between': { accepted: 40, refused: 250 },
};

test('whatever the device accepts of a changed tar, node-tar reads alike', async (context) => {
  const tars = await Promise.all(fc.sample(tree, 60).map(packedTar));
  for (const what of Object.keys(mutations) as (keyof typeof mutations)[])
    await context.test(what, () => {
      const count = { accepted: 0, 'both refuse': 0, 'only the device refuses': 0 };
      const changes = fc.infiniteStream(fc.nat({ max: 2 ** 31 - 1 }));
      fc.assert(
        fc.property(fc.nat({ max: tars.length - 1 }), changes, (which, stream) => {
          const tar = Buffer.from(tars[which]!);
          const random = (below: number): number => stream.next().value % below;
          count[compare(mutations[what](tar, headersOf(tar), random))] += 1;
        }),
        { numRuns: 600 },
      );
      const refused = count['both refuse'] + count['only the device refuses'];
      assert.ok(count.accepted >= least[what].accepted && refused >= least[what].refused, JSON.stringify(count));
    });
});
