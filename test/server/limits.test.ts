/** The server refuses what is too large before it reads the body, and no client keeps a connection by being slow. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Limits } from '../../packages/repo-server/src/app.ts';
import { drip, pour } from '../support/endless.ts';
import { PublishedRepository } from '../support/published-repository.ts';
import {
  announcementOf,
  ask as askApi,
  blobOf,
  publish,
  startTestServer,
  type TestServer,
} from '../support/publishing.ts';
import { ask, dial, readAnswer, talk, untilClosed } from '../support/raw-http.ts';

interface Scene {
  readonly repository: PublishedRepository;
  readonly server: TestServer;
}

async function scene(t: TestContext, limits: Partial<Limits>, base?: Buffer): Promise<Scene> {
  const repository = new PublishedRepository();
  const archive = base ? { base: { bytes: base, unpacked: base.length, files: 1 } } : {};
  repository.offer(repository.addRelease({ name: 'remote-support', version: '1.0.0', ...archive }));
  repository.publish();
  return { repository, server: await startTestServer(t, repository, { limits }) };
}

/** A request's head; its body is up to the test. */
const head = (line: string, headers: Record<string, string>): string =>
  [`${line} HTTP/1.1`, ...Object.entries({ host: 'test', ...headers }).map((pair) => pair.join(': ')), '', ''].join(
    '\r\n',
  );

const codeOf = (text: string): string => {
  const { status, body } = readAnswer(text);
  return `${status} ${/"code":"([A-Z_]+)"/.exec(body)?.[1]}`;
};

test('addresses and headers that are too large are refused', async (t) => {
  const { server } = await scene(t, {});
  assert.equal((await ask(server.url, `GET /targets/${'a'.repeat(20_000)}`)).status, 431);
  assert.equal((await ask(server.url, 'GET /healthz', { cookie: 'a'.repeat(20_000) })).status, 431);
  const many = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`x${index}`, '']));
  assert.equal((await ask(server.url, 'GET /healthz', many)).status, 431);
  assert.equal((await ask(server.url, 'GET /healthz', { cookie: 'a'.repeat(8000) })).status, 200);
});

test('a body that is too large, or from nobody who may send it, is refused while not a byte of it was sent', async (t) => {
  const { repository, server } = await scene(t, { unwantedBody: 100 });
  const announcement = announcementOf(repository);
  const { id } = (await askApi(server, 'POST', '/v1/publications', announcement)).body;
  const { sha256: digest, length } = announcement.targets[0]!;
  const blob = `/v1/publications/${id!}/blobs/${digest}`;
  const key = { authorization: `Bearer ${server.apiKey}` };
  const json = { 'content-type': 'application/json' };
  const bytes = { 'content-type': 'application/octet-stream' };
  for (const [expected, line, headers] of [
    ['413 REQUEST_TOO_LARGE', 'POST /v1/publications', { ...key, ...json, 'content-length': String((64 << 20) + 1) }],
    ['413 REQUEST_TOO_LARGE', `POST /v1/publications/${id!}/commit`, { ...key, ...json, 'content-length': '2000000' }],
    ['413 REQUEST_TOO_LARGE', 'POST /elsewhere', { ...json, 'content-length': '2000000' }],
    ['401 PUBLISHER_UNKNOWN', 'POST /v1/publications', { ...json, 'content-length': '1000' }],
    ['401 PUBLISHER_UNKNOWN', `PUT ${blob}`, { ...bytes, 'content-length': String(length) }],
    ['409 PUBLICATION_BLOB', `PUT ${blob}`, { ...key, ...bytes, 'content-length': String(length + 1) }],
    [
      '409 PUBLICATION_BLOB',
      `PUT ${blob}`,
      { ...key, ...bytes, 'content-length': '5', 'upload-offset': String(length - 4) },
    ],
    ['400 PUBLICATION_REQUEST', `PUT ${blob}`, { ...key, ...json, 'content-length': '99999999999' }],
    [
      '400 PUBLICATION_REQUEST',
      `PUT ${blob}`,
      { ...key, 'content-type': 'text/plain', 'content-length': '99999999999' },
    ],
  ] as const)
    assert.equal(codeOf(await talk(server.url, head(line, headers))), expected, line);
  assert.equal((await askApi(server, 'HEAD', blob)).headers.get('upload-offset'), '0', 'nothing was kept');
  assert.equal((await askApi(server, 'PUT', blob, blobOf(repository, digest))).status, 201);
});

test('who uploads more than was announced reads why, although all of it was sent', async (t) => {
  const { repository, server } = await scene(t, { unwantedBody: 2000 });
  const announcement = announcementOf(repository);
  const { id } = (await askApi(server, 'POST', '/v1/publications', announcement)).body;
  const { sha256: digest } = announcement.targets[0]!;
  const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(0x10000, 'x'), Buffer.from('\r\n')]);
  const headers = { authorization: `Bearer ${server.apiKey}`, 'content-type': 'application/octet-stream' };
  const path = `PUT /v1/publications/${id!}/blobs/${digest}`;
  const request = Buffer.concat([
    Buffer.from(head(path, { ...headers, 'transfer-encoding': 'chunked', connection: 'close' })),
    ...Array.from({ length: 128 }, () => chunk),
    Buffer.from('0\r\n\r\n'),
  ]);
  assert.equal(codeOf(await talk(server.url, request)), '409 PUBLICATION_BLOB');
});

/** Writes without end until the server closes; returns what it answered. */
async function sendForEver(socket: Socket, first: string, chunk: string): Promise<string> {
  socket.write(first);
  const closed = untilClosed(socket);
  const endless = pour(socket, chunk);
  const answer = await closed;
  endless.checkCutOff();
  return answer;
}

test('a body that never ends is cut off once it is refused, wherever it was sent to', async (t) => {
  const { repository, server } = await scene(t, { unwantedBody: 100 });
  assert.equal((await publish(server, repository)).status, 200);
  const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
  for (const [status, line] of [
    [401, `PUT /v1/publications/${'0'.repeat(64)}/blobs/${'0'.repeat(64)}`],
    [404, 'PUT /elsewhere'],
    [200, 'GET /metadata/timestamp.json'],
    [200, 'GET /healthz'],
  ] as const) {
    const headers = { 'transfer-encoding': 'chunked', 'content-type': 'application/octet-stream' };
    const answer = await sendForEver(dial(server.url), head(line, headers), chunk);
    assert.equal(readAnswer(answer).status, status, line);
  }
});

test('who is slow with the headers, says nothing, or drips a body that nobody wants loses the connection', async (t) => {
  const { server } = await scene(t, { headers: 300, silence: 600, unwantedBody: 100 });
  const dripping = dial(server.url);
  dripping.write('GET /healthz HTTP/1.1\r\n');
  const headers = drip(dripping, 'x: y\r\n', 50);
  assert.equal(readAnswer(await untilClosed(dripping)).status, 408, 'headers, one at a time');
  headers.checkCutOff();
  assert.ok(['', '408'].includes(/\d{3}/.exec(await talk(server.url, ''))?.[0] ?? ''), 'not one byte');
  const body = dial(server.url);
  body.write(head('POST /v1/publications', { 'content-type': 'application/json', 'content-length': '100000' }));
  const bytes = drip(body, '{', 50);
  assert.equal(readAnswer(await untilClosed(body)).status, 401, 'a refused body, byte by byte');
  bytes.checkCutOff();
  assert.equal((await ask(server.url, 'GET /healthz')).status, 200);
});

test('an upload that stops in its middle is let go, and what came is kept', async (t) => {
  const { repository, server } = await scene(t, { silence: 1000 });
  const announcement = announcementOf(repository);
  const { id } = (await askApi(server, 'POST', '/v1/publications', announcement)).body;
  const { sha256: digest, length } = announcement.targets.find((one) => one.length > 20)!;
  const blob = `/v1/publications/${id!}/blobs/${digest}`;
  const key = { authorization: `Bearer ${server.apiKey}`, 'content-type': 'application/octet-stream' };
  const bytes = blobOf(repository, digest);
  const begun = head(`PUT ${blob}`, { ...key, 'content-length': String(length) });
  await talk(server.url, Buffer.concat([Buffer.from(begun), bytes.subarray(0, 9)]));
  assert.equal((await askApi(server, 'HEAD', blob)).headers.get('upload-offset'), '9');
  const rest = await askApi(server, 'PUT', blob, bytes.subarray(9), { 'upload-offset': '9' });
  assert.equal(rest.status, 201);
});

test('who asks for a large file and does not read it loses the connection', async (t) => {
  const { repository, server } = await scene(t, { silence: 1000 }, Buffer.alloc(32 << 20, 'x'));
  assert.equal((await publish(server, repository)).status, 200);
  const [name] = [...repository.files].find(([file]) => file.endsWith('.any.base.tar.zst'))!;
  const socket = dial(server.url);
  socket.write(head(`GET /${name}`, {}));
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  // Each of these is closed after the same silence; when the last one is closed, the first one's time is long over.
  for (let times = 0; times < 3; times++) await talk(server.url, '');
  const got = first.length + (await untilClosed(socket.resume())).length;
  assert.ok(got < 32 << 20, `${got} bytes came`);
});

test('who does not read to the end keeps a server that stops only so long', async (t) => {
  const { repository, server } = await scene(t, { closing: 300 }, Buffer.alloc(32 << 20, 'x'));
  assert.equal((await publish(server, repository)).status, 200);
  const [name] = [...repository.files].find(([file]) => file.endsWith('.any.base.tar.zst'))!;
  const socket = dial(server.url);
  socket.write(head(`GET /${name}`, {}));
  await once(socket, 'data');
  socket.pause();
  const begun = performance.now();
  await server.stop();
  assert.ok(performance.now() - begun >= 290, 'what is under way was given its time');
  socket.destroy();
  await server.start();
  assert.equal((await ask(server.url, 'GET /healthz')).status, 200);
});
