/** What anybody can request from the server, byte for byte: ranges, HEAD, 304, names that lead elsewhere, methods and health. */
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { PublishedRepository } from '../support/published-repository.ts';
import { publish, startTestServer, type TestServer } from '../support/publishing.ts';
import { ask, readAnswer, talk } from '../support/raw-http.ts';

const repository = new PublishedRepository();
const ends: (() => unknown)[] = [];
let server: TestServer;
let target: string;
let content: string;

before(async () => {
  repository.offer(repository.addRelease({ name: 'remote-support', version: '1.0.0' }));
  repository.publish();
  const scope = { after: (end: () => unknown) => void ends.push(end) } as unknown as TestContext;
  server = await startTestServer(scope, repository);
  assert.equal((await publish(server, repository)).status, 200);
  const [name, bytes] = [...repository.files].find(([file]) => file.endsWith('.any.base.tar.zst'))!;
  target = name;
  content = bytes.toString('latin1');
});
after(async () => {
  for (const end of ends) await end();
});

test('a target is sent in the one range that was asked for, whole for what is no range, and 416 beyond its end', async () => {
  const length = content.length;
  const whole = [200, undefined, content] as const;
  const part = (start: number, end: number) =>
    [206, `bytes ${start}-${end}/${length}`, content.slice(start, end + 1)] as const;
  const { body: refusal } = await ask(server.url, `GET /${target}`, { range: `bytes=${length}-` });
  assert.match(refusal, /"REQUEST_RANGE"/);
  const beyond = [416, `bytes */${length}`, refusal] as const;
  for (const [range, expected] of [
    ['bytes=0-0', part(0, 0)],
    ['bytes=-5', part(length - 5, length - 1)],
    [`bytes=-${length + 1000}`, part(0, length - 1)],
    ['bytes=5-', part(5, length - 1)],
    [`bytes=5-${length + 1000}`, part(5, length - 1)],
    [`bytes=${length - 1}-`, part(length - 1, length - 1)],
    [`bytes=${length}-${length + 5}`, beyond],
    ['bytes=999999999999999-', beyond],
    ['bytes=-0', beyond],
    ['bytes=0-1,3-4', whole],
    ['bytes=4-3', whole],
    ['bytes=-', whole],
    ['bytes=0x1-2', whole],
    ['bytes=1-2-3', whole],
    ['bytes=--1', whole],
    ['bytes= 1-2', whole],
    ['bytes=9999999999999999999999-', whole],
    ['lines=0-1', whole],
    ['0-1', whole],
  ] as const) {
    const { status, headers, body } = await ask(server.url, `GET /${target}`, { range });
    assert.deepEqual([status, headers.get('content-range'), body], expected, range);
  }
});

test('a range counts only for the file that the asker has part of', async () => {
  const etag = (await ask(server.url, `HEAD /${target}`)).headers.get('etag')!;
  const going = await ask(server.url, `GET /${target}`, { range: 'bytes=3-', 'if-range': etag });
  assert.deepEqual([going.status, going.body], [206, content.slice(3)]);
  const other = await ask(server.url, `GET /${target}`, { range: 'bytes=3-', 'if-range': '"another"' });
  assert.deepEqual([other.status, other.body], [200, content]);
});

test('HEAD is answered as GET is, without one byte of the body', async () => {
  for (const [path, headers] of [
    [target, {}],
    [target, { range: 'bytes=2-4' }],
    ['metadata/timestamp.json', {}],
    ['metadata/9.root.json', {}],
  ] as const) {
    const got = await ask(server.url, `GET /${path}`, headers);
    const extra = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const asked = `HEAD /${path} HTTP/1.1\r\nhost: x\r\n${extra.join('')}\r\n`;
    const both = await talk(server.url, `${asked}GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    const { status, headers: answered, body } = readAnswer(both);
    assert.deepEqual([status, answered.get('content-length')], [got.status, got.headers.get('content-length')], path);
    assert.match(body, /^HTTP\/1\.1 200 OK\r\n[^]*\{"alive":true\}$/, 'the next answer follows at once');
  }
});

test('what the asker has is not sent again, also after a proxy made its ETag weak', async () => {
  for (const path of ['metadata/timestamp.json', target]) {
    const { headers, body } = await ask(server.url, `GET /${path}`);
    const etag = headers.get('etag')!;
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const unchanged = await ask(server.url, `GET /${path}`, { 'if-none-match': known });
      assert.deepEqual([unchanged.status, unchanged.body, unchanged.headers.get('etag')], [304, '', etag], known);
    }
    for (const other of ['"other"', etag.slice(1, -1), `"${etag}"`, '']) {
      const changed = await ask(server.url, `GET /${path}`, { 'if-none-match': other });
      assert.deepEqual([changed.status, changed.body], [200, body], other);
    }
  }
});

test('answers to devices carry the headers that are needed and no others', async () => {
  const headersOf = async (path: string, headers: Record<string, string> = {}): Promise<string[]> =>
    [...(await ask(server.url, `GET /${path}`, headers)).headers.keys()].sort();
  const etag = async (path: string): Promise<string> => (await ask(server.url, `HEAD /${path}`)).headers.get('etag')!;
  const metadata = ['cache-control', 'connection', 'content-length', 'content-type', 'etag'];
  assert.deepEqual(await headersOf('metadata/timestamp.json'), metadata);
  assert.deepEqual(await headersOf('metadata/1.root.json'), metadata);
  assert.deepEqual(
    await headersOf('metadata/timestamp.json', { 'if-none-match': await etag('metadata/timestamp.json') }),
    ['connection', 'etag'],
  );
  assert.deepEqual(await headersOf('metadata/2.root.json'), ['connection', 'content-length']);
  assert.deepEqual(await headersOf(target), ['accept-ranges', ...metadata]);
  const closing = await ask(server.url, 'GET /metadata/2.root.json');
  assert.equal(closing.headers.get('connection'), 'close', 'as it was asked to');
  const caching = async (path: string) => (await ask(server.url, `GET /${path}`)).headers.get('cache-control');
  assert.equal(await caching('metadata/timestamp.json'), 'no-cache', 'the one file that changes');
  assert.match((await caching('metadata/1.root.json'))!, /immutable/);
  assert.match((await caching(target))!, /immutable/);
});

const forbidden = /PRIVATE KEY|"publishers"|"key"|SQLite|root:x:|\.tar\.zst|\.json"/;

test('no way of writing a path leads out of metadata and targets, and no folder is listed', async () => {
  const up = ['..', '%2e%2e', '%2E.', '.%2e', '%252e%252e', '%c0%ae%c0%ae', '..%00', '..;', '.'];
  const between = ['/', '%2f', '%5c', '\\', '%252f', '//'];
  const paths = up.flatMap((dots) =>
    between.flatMap((slash) =>
      ['targets', 'metadata', 'targets/components'].map(
        (start) => `/${start}${slash}${dots}${slash}server${slash}publishers.json`,
      ),
    ),
  );
  paths.push(
    '/targets//etc/passwd',
    '/targets/%2fetc%2fpasswd',
    '/targets/C:%5cwindows',
    `/${target}%00`,
    `/${target}%00.json`,
    `/${target}/`,
    `/${target}.`,
    '/metadata/timestamp.json%00',
    '/metadata/timestamp.json/',
    '/metadata/__proto__',
    '/metadata/constructor',
    '/targets/a\0b',
    '/targets/%zz',
    '/targets/%',
    'http://127.0.0.1/targets/../server/publishers.json',
    ...['', 'targets', 'targets/', 'targets/components', 'targets/components/', 'metadata', 'metadata/'].map(
      (folder) => `/${folder}`,
    ),
    ...['staging', 'staging/blobs/', 'server/', 'server/lock.db', 'server/online-keys.secret.json'].map(
      (folder) => `/${folder}`,
    ),
  );
  for (const path of paths) {
    const { status, body } = await ask(server.url, `GET ${path}`);
    assert.ok(status === 404 || status === 400, `${path}: ${status}`);
    assert.doesNotMatch(body, forbidden, path);
  }
  assert.equal((await ask(server.url, `GET /${target}`)).body, content, 'the name itself is served');
  assert.equal((await ask(server.url, `GET /${target.replaceAll('components', '%63omponents')}`)).body, content);
});

test('other methods change and tell nothing', async () => {
  const stands = (await ask(server.url, 'GET /metadata/timestamp.json')).body;
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'MKCOL', 'COPY', 'PURGE'])
    for (const path of ['metadata/timestamp.json', target, 'readyz']) {
      const { status, body } = await ask(server.url, `${method} /${path}`, {
        'content-length': '0',
        'x-mark': 'echoed',
      });
      assert.equal(status, 404, `${method} /${path}`);
      assert.doesNotMatch(body, /echoed/);
    }
  for (const line of ['BREW /metadata/timestamp.json', 'get /healthz', '\x16\x03\x01\x02'])
    assert.equal((await ask(server.url, line)).status, 400, line);
  assert.equal(await talk(server.url, 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: x\r\n\r\n'), '', 'it is no proxy');
  const both = 'content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n';
  const smuggled = await talk(
    server.url,
    `POST /v1/publications HTTP/1.1\r\nhost: x\r\n${both}GET /healthz HTTP/1.1\r\n\r\n`,
  );
  assert.deepEqual([readAnswer(smuggled).status, smuggled.includes('alive')], [400, false]);
  assert.equal((await ask(server.url, 'GET /metadata/timestamp.json')).body, stands);
  assert.equal((await ask(server.url, `GET /${target}`)).body, content);
});

test('says that it lives, whether it is well, and how often it answered what', async (t) => {
  const empty = await startTestServer(t, repository);
  assert.equal((await ask(empty.url, 'GET /healthz')).body, '{"alive":true}');
  const before = await ask(empty.url, 'GET /readyz');
  assert.equal(before.status, 503);
  assert.deepEqual(JSON.parse(before.body), {
    colour: 'red',
    scanned: false,
    findings: [{ code: 'NOTHING_PUBLISHED', colour: 'red', what: 'nothing is published yet', who: 'key holders' }],
    expires: {},
  });
  assert.match((await ask(empty.url, 'GET /metrics')).body, /^countersign_ready 2$/m);
  const well = await ask(server.url, 'GET /readyz');
  assert.equal(well.status, 200);
  const { colour, expires } = JSON.parse(well.body) as { colour: string; expires: Record<string, string> };
  assert.equal(colour, 'green');
  assert.deepEqual(Object.keys(expires).sort(), [...repository.keys.keys()].sort());
  const counted = async (): Promise<Record<string, number>> => {
    const { headers, body } = await ask(server.url, 'GET /metrics');
    assert.match(headers.get('content-type')!, /^text\/plain/);
    assert.match(body, /^countersign_ready 0$/m);
    return Object.fromEntries(
      [...body.matchAll(/^countersign_requests_total\{status="(\d+)"\} (\d+)$/gm)].map(([, status, count]) => [
        status,
        Number(count),
      ]),
    );
  };
  const first = await counted();
  const { headers } = await ask(server.url, 'GET /metadata/timestamp.json');
  await ask(server.url, 'GET /metadata/timestamp.json', { 'if-none-match': headers.get('etag')! });
  await ask(server.url, 'GET /metadata/2.root.json');
  await ask(server.url, `GET /${target}`, { range: 'bytes=0-1' });
  const second = await counted();
  // 200: the first call of `counted` itself, and the file that was answered whole.
  for (const [status, more] of [
    ['200', 2],
    ['206', 1],
    ['304', 1],
    ['404', 1],
  ] as const)
    assert.equal(second[status]! - first[status]!, more, status);
});
