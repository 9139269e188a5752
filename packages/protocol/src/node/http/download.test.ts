import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { drip, pour } from '../../../../../test/support/endless.ts';
import { serve } from '../../../../../test/support/http-server.ts';
import { download, isComplete, type DownloadOptions } from './download.ts';
import { metadataDispatcher } from './http-response.ts';

const content = randomBytes(3_000_001);
const sha256 = createHash('sha256').update(content).digest('hex');
const refused = (code: string, work: Promise<unknown>): Promise<void> => assert.rejects(work, { code });

/** A plain file server with ranges. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? -1);
  if (from >= content.length) return void response.writeHead(416).end();
  if (from < 0) return void response.writeHead(200, { 'content-length': content.length }).end(content);
  response.writeHead(206, {
    'content-length': content.length - from,
    'content-range': `bytes ${from}-${content.length - 1}/${content.length}`,
  });
  response.end(content.subarray(from));
}

async function scene(t: TestContext, handler: (request: IncomingMessage, response: ServerResponse) => void = answer) {
  const ranges: (string | undefined)[] = [];
  const server = await serve(t, (request, response) => {
    ranges.push(request.headers.range);
    handler(request, response);
  });
  const dispatcher = metadataDispatcher();
  t.after(() => dispatcher.destroy());
  const file = join(mkdtempSync(join(tmpdir(), 'countersign-download-')), 'archive');
  const run = (more: Partial<DownloadOptions> = {}) =>
    download({ url: `${server.url}a`, file, length: content.length, sha256, dispatcher, ...more });
  return { ...server, ranges, file, part: `${file}.part`, run };
}

test('a file arrives whole, checked, and nothing else stays', async (t) => {
  const { file, part, run, ranges } = await scene(t);
  const progress: number[] = [];
  assert.deepEqual(await run({ onProgress: (done) => progress.push(done) }), { resumed: 0 });
  assert.deepEqual(readFileSync(file), content);
  assert.equal(existsSync(part), false);
  assert.deepEqual([progress[0], progress.at(-1)], [0, content.length]);
  assert.deepEqual(ranges, [undefined]);
  assert.equal(await isComplete(file, { length: content.length, sha256 }), true);
  assert.equal(await isComplete(file, { length: content.length, sha256: '0'.repeat(64) }), false);
  assert.equal(await isComplete(file, { length: 5, sha256 }), false);
  assert.equal(await isComplete(part, { length: 5, sha256 }), false);
});

test('a broken transfer is continued, also by another process', async (t) => {
  let broken = true;
  const { file, part, run, ranges } = await scene(t, (request, response) => {
    if (!broken) return answer(request, response);
    broken = false;
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, 2_000_000), () => response.destroy());
  });
  await refused('SOURCE_BROKEN', run());
  const left = readFileSync(part).length;
  assert.ok(left > 0 && left <= 2_000_000);
  assert.deepEqual(await run(), { resumed: left });
  assert.equal(ranges[1], `bytes=${left}-`);
  assert.deepEqual(readFileSync(file), content);
});

test('an earlier part that is whole already costs no request', async (t) => {
  const { file, part, run, ranges } = await scene(t);
  writeFileSync(part, content);
  assert.deepEqual(await run(), { resumed: content.length });
  assert.deepEqual(ranges, []);
  assert.deepEqual(readFileSync(file), content);
});

test('an earlier part that is too long or wholly wrong is fetched anew', async (t) => {
  for (const bytes of [Buffer.alloc(content.length + 1), Buffer.alloc(content.length)]) {
    const { file, part, run, ranges } = await scene(t);
    writeFileSync(part, bytes);
    assert.deepEqual(await run(), { resumed: 0 });
    assert.deepEqual(ranges, [undefined]);
    assert.deepEqual(readFileSync(file), content);
  }
});

test('an earlier part that is not the start of the file is noticed at the end and dropped', async (t) => {
  const { file, part, run } = await scene(t);
  writeFileSync(part, Buffer.alloc(1000));
  await refused('TUF_HASH', run());
  assert.deepEqual([existsSync(file), existsSync(part)], [false, false]);
  await run();
});

test('a server that ignores the range or has no such range starts over', async (t) => {
  for (const status of [200, 416]) {
    const { file, part, run } = await scene(t, (request, response) => {
      if (request.headers.range && status === 416) return void response.writeHead(416).end();
      response.writeHead(200, { 'content-length': content.length }).end(content);
    });
    writeFileSync(part, content.subarray(0, 1000));
    await run();
    assert.deepEqual(readFileSync(file), content);
  }
});

test('416 without a range asked for, and every other status, is refused', async (t) => {
  for (const status of [416, 206, 404, 500, 304]) {
    const { run } = await scene(t, (_, response) => void response.writeHead(status).end());
    await refused('SOURCE_STATUS', run());
  }
  const { run } = await scene(t, (_, response) => void response.writeHead(302, { location: '/b' }).end());
  await refused('SOURCE_REDIRECT', run());
});

test('a range other than the one asked for is refused', async (t) => {
  const total = content.length;
  for (const range of [
    `bytes 999-${total - 1}/${total}`,
    `bytes 1000-${total - 2}/${total}`,
    `bytes 1000-${total - 1}/${total + 1}`,
    'bytes 1000-/*',
    '',
  ]) {
    const { part, run } = await scene(t, (_, response) => {
      response.writeHead(206, { 'content-range': range, 'content-length': total - 1000 }).end(content.subarray(1000));
    });
    writeFileSync(part, content.subarray(0, 1000));
    await refused('SOURCE_BROKEN', run());
  }
});

test('a body that is announced or sent too long is refused at once and dropped', async (t) => {
  const announced = await scene(t, (_, response) => {
    response.writeHead(200, { 'content-length': content.length + 1 }).write('x');
  });
  await refused('SOURCE_TOO_LARGE', announced.run());
  await announced.idle();
  const endless = await scene(t, (_, response) => void pour(response, content));
  await refused('SOURCE_TOO_LARGE', endless.run());
  await endless.idle();
  assert.equal(existsSync(endless.part), false);
});

test('a body that is announced or sent too short never becomes the file', async (t) => {
  const announced = await scene(t, (_, response) => void response.writeHead(200, { 'content-length': 5 }).end('short'));
  await refused('TUF_HASH', announced.run());
  const ended = await scene(t, (_, response) => void response.writeHead(200).end('short'));
  await refused('SOURCE_BROKEN', ended.run());
  assert.equal(readFileSync(ended.part, 'utf8'), 'short');
  assert.equal(existsSync(ended.file), false);
});

test('one changed byte is refused and dropped, in every listed hash', async (t) => {
  const wrong = Buffer.from(content);
  wrong[1_500_000]! ^= 1;
  const { file, part, run } = await scene(t, (_, response) => void response.writeHead(200).end(wrong));
  await refused('TUF_HASH', run());
  assert.deepEqual([existsSync(file), existsSync(part)], [false, false]);
  const other = await scene(t);
  await refused('TUF_HASH', other.run({ hashes: { sha512: '00' } }));
  await refused('TUF_HASH', other.run({ hashes: { md5: '00' } }));
  await refused('TUF_HASH', other.run({ sha256: '' }));
  await other.run({ hashes: { sha512: createHash('sha512').update(content).digest('hex') } });
});

test('silence and a spent budget end the transfer and keep what arrived', async (t) => {
  const silent = await scene(t, (_, response) => void response.writeHead(200).write(content.subarray(0, 1000)));
  await refused('SOURCE_TIMEOUT', silent.run({ idleMilliseconds: 50 }));
  assert.equal(readFileSync(silent.part).length, 1000);
  await silent.idle();
  const dripping = await scene(t, (_, response) => void drip(response, 'x', 10));
  await refused('SOURCE_TIMEOUT', dripping.run({ totalMilliseconds: 100 }));
  await dripping.idle();
});

test('a stop from here keeps what arrived', async (t) => {
  const stop = new AbortController();
  const { part, run } = await scene(t, (_, response) => {
    response.writeHead(200).write(content.subarray(0, 1_100_000));
  });
  await refused('SOURCE_STOPPED', run({ signal: stop.signal, onProgress: (done) => done > 0 && stop.abort() }));
  assert.ok(readFileSync(part).length >= 1 << 20);
});

test('a rate bounds the transfer', async (t) => {
  const { run } = await scene(t);
  const start = performance.now();
  await run({ rate: content.length * 4 });
  const taken = performance.now() - start;
  assert.ok(taken > 200 && taken < 2000, `${taken} ms`);
});

test('a folder that is not there is a coded error', async (t) => {
  const { run, file } = await scene(t);
  await refused('FILE_WRITE', run({ file: join(file, 'missing', 'x') }));
});
