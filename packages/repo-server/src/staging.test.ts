import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { Staging, type Upload } from './staging.ts';

const bytes = Buffer.from('0123456789');
const digest = sha256(bytes);

function scene(): { staging: Staging; part: string; whole: string; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-staging-'));
  const staging = new Staging(folder);
  return { staging, folder, whole: staging.whole(digest), part: `${staging.whole(digest)}.part` };
}
const upload = (offset: number, ...chunks: Uint8Array[]): Upload => ({ offset, length: null, chunks });
const publication = (path: string, begun: string) => ({
  publisher: 'test',
  begun,
  request: { metadata: { '1.channels.json': 'e30=' }, targets: [{ path, sha256: digest, length: 10 }], base: {} },
});

test('an upload grows where it stands and is whole when its digest is right', async () => {
  const { staging, whole } = scene();
  assert.equal(await staging.append(digest, 10, upload(0, bytes.subarray(0, 4))), 4);
  assert.deepEqual([staging.received(digest), staging.isWhole(digest)], [4, false]);
  await assert.rejects(staging.append(digest, 10, upload(3, bytes)), { code: 'PUBLICATION_BLOB' });
  assert.equal(await staging.append(digest, 10, upload(4, bytes.subarray(4, 5), bytes.subarray(5))), 10);
  assert.equal(readFileSync(whole, 'utf8'), bytes.toString());
  assert.equal(await staging.append(digest, 10, upload(0)), 10, 'what is whole stays so');
});

test('two uploads of one blob do not meet', async () => {
  const { staging } = scene();
  const going = Promise.withResolvers<void>();
  const slow = staging.append(digest, 10, {
    offset: 0,
    length: 10,
    chunks: (async function* () {
      yield bytes.subarray(0, 5);
      await going.promise;
      yield bytes.subarray(5);
    })(),
  });
  await assert.rejects(staging.append(digest, 10, upload(0, bytes)), { code: 'PUBLICATION_BLOB' });
  assert.equal(await staging.complete(digest, 5), false, 'what is still coming is left alone');
  going.resolve();
  assert.equal(await slow, 10);
});

test('bytes whose digest is another are not kept, and those that are too many not taken', async () => {
  const { staging, part } = scene();
  await assert.rejects(staging.append(digest, 10, upload(0, Buffer.from('abcdefghij'))), { code: 'PUBLICATION_BLOB' });
  assert.deepEqual([staging.received(digest), existsSync(part)], [0, false]);
  await assert.rejects(staging.append(digest, 10, upload(0, bytes, bytes)), /longer than the 10 bytes announced/);
  assert.equal(staging.received(digest), 10, 'what came in order stays');
  assert.equal(await staging.complete(digest, 10), true);
});

test('a blob that a death left complete is made whole; one that can never be is removed', async () => {
  const { staging, part, whole } = scene();
  assert.equal(await staging.complete(digest, 10), false, 'nothing came');
  writeFileSync(part, bytes.subarray(0, 9));
  assert.equal(await staging.complete(digest, 10), false, 'not all came');
  assert.equal(staging.received(digest), 9);
  writeFileSync(part, Buffer.concat([bytes, bytes]));
  assert.equal(await staging.complete(digest, 10), false, 'more came than belongs to it');
  assert.equal(staging.received(digest), 0);
  writeFileSync(part, bytes);
  assert.equal(await staging.complete(digest, 10), true);
  assert.equal(await staging.complete(digest, 10), true);
  assert.deepEqual([readFileSync(whole, 'utf8'), existsSync(part)], [bytes.toString(), false]);
});

test('an empty blob is whole when it was uploaded', async () => {
  const { staging } = scene();
  const empty = sha256('');
  assert.equal(await staging.complete(empty, 0), false);
  assert.equal(await staging.append(empty, 0, upload(0)), 0);
  assert.equal(staging.isWhole(empty), true);
});

test('tells what other open publications want', () => {
  const { staging } = scene();
  const [one, two] = [sha256('one'), sha256('two')];
  staging.write(one, publication('a/b', '2026-11-23T10:00:00Z'));
  assert.deepEqual([...staging.wantedBeside(one)], []);
  assert.deepEqual([...staging.wantedBeside(two)], [digest]);
  staging.write(one, { ...publication('a/b', '2026-11-23T10:00:00Z'), done: { timestamp: 1, snapshot: 1 } });
  assert.deepEqual([...staging.wantedBeside(two)], []);
});

test('keeps what young publications want and removes the rest', async () => {
  const { staging, folder } = scene();
  await staging.append(digest, 10, upload(0, bytes));
  const other = Buffer.from('other');
  await staging.append(sha256(other), 5, upload(0, other));
  await staging.copy(digest);
  staging.write(sha256('young'), publication('a/b', '2026-11-23T10:00:00Z'));
  staging.write(sha256('old'), publication('a/b', '2026-11-13T10:00:00Z'));
  writeFileSync(join(folder, 'publications', `${sha256('young')}.json.0123456789ab.tmp`), '{');
  staging.collect(new Date('2026-11-16T10:00:00Z'));
  assert.deepEqual(readdirSync(join(folder, 'blobs')), [digest]);
  assert.deepEqual(readdirSync(join(folder, 'publications')), [`${sha256('young')}.json`]);
  staging.collect(new Date('2026-11-23T10:00:01Z'));
  assert.deepEqual([...readdirSync(join(folder, 'blobs')), ...readdirSync(join(folder, 'publications'))], []);
});

test('a full disk is said to be full, another broken line to be broken, and any other fault is not hidden', async () => {
  const { staging, folder } = scene();
  const failing = (code: string): Upload => ({
    offset: staging.received(digest),
    length: null,
    chunks: (async function* () {
      yield await Promise.resolve(bytes.subarray(0, 1));
      throw Object.assign(new Error('test'), { code });
    })(),
  });
  for (const code of ['ENOSPC', 'EDQUOT'])
    await assert.rejects(staging.append(digest, 10, failing(code)), { code: 'DISK_FULL' });
  await assert.rejects(staging.append(digest, 10, failing('ECONNRESET')), /broke off at 3 bytes/);
  rmSync(join(folder, 'blobs'), { recursive: true });
  writeFileSync(join(folder, 'blobs'), '');
  assert.throws(() => staging.received(digest), { code: 'ENOTDIR' });
});
