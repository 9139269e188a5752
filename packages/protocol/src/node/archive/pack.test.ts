import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { sha256 } from '../../text.ts';
import { packArchive } from './pack.ts';
import { unpackArchive } from './unpack.ts';
import { verifyTree } from './verify-tree.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-pack-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let counter = 0;
const fresh = (): string => join(scratch, `case-${counter++}`);
const posix = process.platform !== 'win32';

function folder(files: Record<string, string | Buffer>): string {
  const root = fresh();
  mkdirSync(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

const pack = (sourceDir: string, output = fresh()) => packArchive({ sourceDir, output });

/** The refusal has this code and leaves nothing under the output's name or beside it. */
async function refuses(code: string, sourceDir: string) {
  const place = fresh();
  mkdirSync(place);
  await assert.rejects(pack(sourceDir, join(place, 'out')), { code });
  assert.deepEqual(readdirSync(place), []);
}

const files = {
  'bin/tool': '#!/usr/bin/env node\n',
  'bin/library.so': Buffer.concat([Buffer.from('\u007fELF', 'latin1'), Buffer.alloc(5000, 3)]),
  'data/large.bin': Buffer.alloc(3 << 20, 'countersign'),
  'data/empty': '',
  'data.txt': 'text',
  [`${'d'.repeat(10)}/${'n'.repeat(100)}`]: 'long',
  'z/@scope/a+b c.js': '1',
};

test('what is packed unpacks to the same files, with the numbers that pack told', async () => {
  const source = folder(files);
  const output = fresh();
  const packed = await pack(source, output);
  const bytes = readFileSync(output);
  const unpacked = Object.values(files).reduce((sum, content) => sum + Buffer.from(content).length, 0);
  assert.deepEqual(packed, { sha256: sha256(bytes), length: bytes.length, unpacked, files: 7 });
  const into = fresh();
  const result = await unpackArchive({ archive: output, into, expect: packed });
  assert.deepEqual(
    result.files.filter((file) => file.executable).map((file) => file.path),
    ['bin/library.so', 'bin/tool'],
  );
  for (const [path, content] of Object.entries(files))
    assert.deepEqual(readFileSync(join(into, path)), Buffer.from(content));
  await verifyTree(into, result.files);
});

test('the same files give the same bytes, whatever their times, permissions, links and empty folders', async () => {
  const first = await pack(folder(files));
  const source = folder(Object.fromEntries(Object.entries(files).reverse()));
  mkdirSync(join(source, 'nothing-in-here'));
  if (posix) {
    chmodSync(join(source, 'data.txt'), 0o777);
    chmodSync(join(source, 'bin/tool'), 0o600);
    linkSync(join(source, 'data.txt'), join(scratch, 'elsewhere'));
  }
  assert.deepEqual(await pack(source), first);
});

test('replaces an earlier archive as a whole', async () => {
  const output = fresh();
  await pack(folder({ a: '1' }), output);
  const second = await pack(folder({ a: '2' }), output);
  assert.equal(sha256(readFileSync(output)), second.sha256);
});

test('an empty folder packs to an archive without files', async () => {
  const { files: count, unpacked } = await pack(folder({}));
  assert.deepEqual([count, unpacked], [0, 0]);
});

test('GNU tar reads the same names and content', { skip: spawnSync('tar', ['--version']).status !== 0 }, async () => {
  const output = fresh();
  await pack(folder(files), output);
  const tar = zstdDecompressSync(readFileSync(output));
  const list = execFileSync('tar', ['-tf', '-'], { input: tar, encoding: 'utf8' });
  assert.deepEqual(list.trim().split('\n'), Object.keys(files).sort());
  assert.equal(execFileSync('tar', ['-xOf', '-', 'data.txt'], { input: tar, encoding: 'utf8' }), 'text');
});

test('refuses what a device would refuse', { skip: !posix }, async () => {
  const link = folder({ a: '1' });
  symlinkSync('a', join(link, 'b'));
  await refuses('ARCHIVE_ENTRY', link);
  const folderLink = folder({ 'a/x': '1' });
  symlinkSync('a', join(folderLink, 'b'));
  await refuses('ARCHIVE_ENTRY', folderLink);
  const setuid = folder({ a: '1' });
  chmodSync(join(setuid, 'a'), 0o4755);
  await refuses('ARCHIVE_ENTRY', setuid);
  const pipe = folder({});
  execFileSync('mkfifo', [join(pipe, 'p')]);
  await refuses('ARCHIVE_ENTRY', pipe);
  await refuses('ARCHIVE_COLLISION', folder({ 'lib/a': '', 'Lib/b': '' }));
  await refuses('ARCHIVE_COLLISION', folder({ a: '', A: '' }));
  await refuses('ARCHIVE_NAME', folder({ 'nul.txt': '' }));
  await refuses('ARCHIVE_NAME', folder({ 'caf\u00e9': '' }));
  await refuses('ARCHIVE_NAME', folder({ 'bad /x': '' }));
  const badFolder = folder({});
  mkdirSync(join(badFolder, 'con'));
  await refuses('ARCHIVE_NAME', badFolder);
});

test('node-tar is loaded to pack, and by nothing else that the programs share', () => {
  const loaded = `
    import { registerHooks } from 'node:module';
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier === 'tar') console.log('node-tar');
        return next(specifier, context);
      },
    });
    const { packArchive } = await import(process.argv[1]);
    console.log('loaded');
    await packArchive({ sourceDir: process.argv[2], output: process.argv[3] });`;
  const entry = new URL('../index.ts', import.meta.url).href;
  const words = ['--input-type=module', '--eval', loaded, entry, folder({ a: '' }), fresh()];
  assert.equal(execFileSync(process.execPath, words, { encoding: 'utf8' }), 'loaded\nnode-tar\n');
});

test('a name that node-tar would store otherwise is refused, the longest that it stores is packed', async () => {
  await refuses('ARCHIVE_NAME', folder({ ['n'.repeat(100)]: '' }));
  const output = fresh();
  const longest = { ['n'.repeat(99)]: '1', [`${'d'.repeat(19)}/${'n'.repeat(100)}`]: '2' };
  const packed = await pack(folder(longest), output);
  const into = fresh();
  await unpackArchive({ archive: output, into, expect: packed });
  for (const [path, content] of Object.entries(longest)) assert.equal(readFileSync(join(into, path), 'utf8'), content);
});

test('refuses a file larger than a tar header can say', { skip: !posix }, async () => {
  const source = folder({ a: '' });
  truncateSync(join(source, 'a'), 8 * 2 ** 30);
  await assert.rejects(pack(source), { code: 'ARCHIVE_LIMIT', message: /allowed are 8589934591 for one file/ });
});

test('refuses content that would look like a bomb on the device', async () => {
  await refuses('ARCHIVE_LIMIT', folder({ a: Buffer.alloc((64 << 20) + 1) }));
});

test('refuses a source that is missing or an output that cannot be made', async () => {
  await refuses('ARCHIVE_IO', join(scratch, 'nowhere'));
  await assert.rejects(pack(folder({ a: '1' }), join(scratch, 'no', 'where')), { code: 'ARCHIVE_IO' });
});

for (const [what, change] of [
  ['grows', (file: string) => writeFileSync(file, 'longer now')],
  ['shrinks', (file: string) => writeFileSync(file, '')],
] as const)
  test(`refuses a file that ${what} before it is its turn`, async () => {
    const source = folder({ a: '1', b: 'four' });
    const output = fresh();
    const packing = packArchive({ sourceDir: source, output, onProgress: () => change(join(source, 'b')) });
    await assert.rejects(packing, { code: 'ARCHIVE_SOURCE_CHANGED' });
    assert.equal(existsSync(output), false);
  });

for (const [what, size] of [
  ['grows', 5 << 20],
  ['shrinks', 1 << 20],
] as const)
  test(`refuses a file that ${what} while it is read`, async () => {
    const source = folder({ a: '1', b: Buffer.alloc(4 << 20, 'x') });
    const output = fresh();
    let reads = 0;
    const signal = new AbortController().signal;
    // The signal is checked between chunks, so the file changes there.
    Object.defineProperty(signal, 'aborted', {
      get: () => {
        if (++reads === 3) truncateSync(join(source, 'b'), size);
        return false;
      },
    });
    await assert.rejects(packArchive({ sourceDir: source, output, signal }), { code: 'ARCHIVE_SOURCE_CHANGED' });
  });

test('stops when told to and leaves nothing', async () => {
  const place = fresh();
  mkdirSync(place);
  const stop = new AbortController();
  const packing = packArchive({
    sourceDir: folder(files),
    output: join(place, 'out'),
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  await assert.rejects(packing, { code: 'ARCHIVE_CANCELLED' });
  assert.deepEqual(readdirSync(place), []);
});
