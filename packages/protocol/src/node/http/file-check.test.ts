/** Checks of a large file in place: each way to differ from the listed one gives the same code as a download. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve } from '../../../../../test/support/http-server.ts';
import { sha256 } from '../../text.ts';
import { download } from './download.ts';
import { checkLocalFile, checkRemoteFile } from './file-check.ts';

const bytes = Buffer.alloc((3 << 20) + 5, 'file');
const expected = { length: bytes.length, sha256: sha256(bytes) };
const flipped = Buffer.from(bytes);
flipped[2 << 20]! ^= 1;

const cases: readonly (readonly [what: string, code: string | null, answer: Buffer | number])[] = [
  ['the file', null, bytes],
  ['a flipped byte', 'TUF_HASH', flipped],
  ['a byte less', 'TUF_HASH', bytes.subarray(1)],
  ['a byte more', 'SOURCE_TOO_LARGE', Buffer.concat([bytes, Buffer.from('!')])],
  ['nothing', 'SOURCE_STATUS', 404],
];
for (const [what, code, answer] of cases)
  test(`${what} is told alike by a download, over http and in a folder`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-file-check-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const { url } = await serve(t, (_, response) => {
      if (typeof answer === 'number') response.writeHead(answer).end();
      else response.writeHead(200, { 'content-length': answer.length }).end(answer);
    });
    const file = join(folder, 'file');
    if (typeof answer !== 'number') writeFileSync(file, answer);
    const seen: number[] = [];
    const onProgress = (done: number): void => void seen.push(done);
    for (const attempt of [
      () => download({ ...expected, url, file: join(folder, 'downloaded') }),
      () => checkRemoteFile(new URL(url), { ...expected, onProgress }),
      () => checkLocalFile(file, { ...expected, onProgress }),
    ])
      await (code === null ? attempt() : assert.rejects(attempt(), { code }));
    if (code === null)
      assert.deepEqual([seen.at(-1), seen.filter((done) => done === bytes.length).length], [bytes.length, 2]);
  });

test('a fault in our own code is not told as a file that cannot be read', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-file-check-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'file'), bytes);
  const fault = new TypeError('a fault');
  const check = checkLocalFile(join(folder, 'file'), {
    ...expected,
    onProgress: () => {
      throw fault;
    },
  });
  await assert.rejects(check, (error) => error === fault);
});

test('bytes without an announced length: too many are cut off, too few are a broken transfer', async (t) => {
  let answer: Buffer = flipped;
  const { url } = await serve(t, (_, response) => void response.writeHead(200).end(answer));
  const refuses = (code: string) => assert.rejects(checkRemoteFile(new URL(url), expected), { code });
  const chunked = async (body: Buffer, code: string): Promise<void> => {
    answer = body;
    await refuses(code);
  };
  await chunked(flipped, 'TUF_HASH');
  await chunked(Buffer.concat([bytes, bytes]), 'SOURCE_TOO_LARGE');
  await chunked(bytes.subarray(1), 'SOURCE_BROKEN');
});

test('what is no file is not there, and what cannot be read is a failure of this machine', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-file-check-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'file'));
  await assert.rejects(checkLocalFile(join(folder, 'file'), expected), { code: 'SOURCE_STATUS' });
  writeFileSync(join(folder, 'other'), bytes);
  await assert.rejects(checkLocalFile(join(folder, 'other', 'file'), expected), { code: 'SOURCE_STATUS' });
  await assert.rejects(checkLocalFile(join(folder, 'x'.repeat(300)), expected), { code: 'FILE_READ' });
});
