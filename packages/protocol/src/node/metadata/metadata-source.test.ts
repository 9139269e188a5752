import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { drip, pour } from '../../../../../test/support/endless.ts';
import { serve } from '../../../../../test/support/http-server.ts';
import { memoryStore } from '../../../../../test/support/memory-store.ts';
import { RepositorySimulator } from '../../../../../test/support/repository-simulator.ts';
import { metadataDispatcher } from '../http/http-response.ts';
import { refresh } from './metadata-client.ts';
import { directorySource, httpSource, type HttpSourceOptions } from './metadata-source.ts';

async function source(t: TestContext, handler: RequestListener, options: Partial<HttpSourceOptions> = {}) {
  const server = await serve(t, handler);
  const dispatcher = metadataDispatcher();
  t.after(() => dispatcher.destroy());
  return { ...server, source: httpSource({ metadataUrl: `${server.url}metadata`, dispatcher, ...options }) };
}

const refused = (code: string, work: Promise<unknown>): Promise<void> => assert.rejects(work, { code });

test('tells found, absent and unchanged apart, and asks with the ETag', async (t) => {
  const seen: (string | undefined)[] = [];
  const { source: http } = await source(t, (request, response) => {
    seen.push(request.url, request.headers['if-none-match']);
    if (request.url !== '/metadata/timestamp.json') return void response.writeHead(404).end('no such file');
    if (request.headers['if-none-match'] === '"1"') return void response.writeHead(304).end();
    response.setHeader('etag', '"1"').end('bytes');
  });
  assert.deepEqual(await http.fetch('timestamp.json', 100), {
    kind: 'found',
    bytes: Buffer.from('bytes'),
    etag: '"1"',
  });
  assert.deepEqual(await http.fetch('timestamp.json', 100, { etag: '"1"' }), { kind: 'unchanged' });
  assert.deepEqual(await http.fetch('2.root.json', 100), { kind: 'absent' });
  assert.deepEqual(seen, [
    '/metadata/timestamp.json',
    undefined,
    '/metadata/timestamp.json',
    '"1"',
    '/metadata/2.root.json',
    undefined,
  ]);
});

test('no status but 404 means absent, and no redirect is followed', async (t) => {
  for (const [status, code] of [
    [403, 'SOURCE_STATUS'],
    [410, 'SOURCE_STATUS'],
    [500, 'SOURCE_STATUS'],
    [204, 'SOURCE_STATUS'],
    [206, 'SOURCE_STATUS'],
    [304, 'SOURCE_STATUS'],
    [302, 'SOURCE_REDIRECT'],
    [308, 'SOURCE_REDIRECT'],
  ] as const) {
    let requests = 0;
    const { source: http } = await source(t, (_, response) => {
      requests++;
      response.writeHead(status, { location: '/metadata/other.json' }).end();
    });
    await refused(code, http.fetch('timestamp.json', 100));
    assert.equal(requests, 1);
  }
});

test('more bytes than allowed are refused and the connection is closed, announced or not', async (t) => {
  for (const announced of [true, false]) {
    const { source: http, idle } = await source(t, (_, response) => {
      if (announced) response.setHeader('content-length', '1000000');
      pour(response, 'x'.repeat(1000));
    });
    await refused('SOURCE_TOO_LARGE', http.fetch('timestamp.json', 16_384));
    await idle();
  }
});

test('silence, before the answer or within it, ends in a time-out and a closed connection', async (t) => {
  for (const started of [true, false]) {
    const { source: http, idle } = await source(t, (_, response) => void (started && response.write('x')), {
      idleMilliseconds: 50,
    });
    await refused('SOURCE_TIMEOUT', http.fetch('timestamp.json', 100));
    await idle();
  }
});

test('a steady drip ends when the budget for the whole is spent', async (t) => {
  const { source: http, idle } = await source(t, (_, response) => void drip(response, 'x', 10), {
    totalMilliseconds: 150,
  });
  await refused('SOURCE_TIMEOUT', http.fetch('timestamp.json', 100_000));
  await idle();
});

test('a connection that breaks within the answer is no shorter answer', async (t) => {
  const { source: http } = await source(t, (_, response) => {
    response.setHeader('content-length', '10').write('half', () => response.destroy());
  });
  await refused('SOURCE_BROKEN', http.fetch('timestamp.json', 100));
});

test('an unreachable server and a stop from here have their own codes', async (t) => {
  const gone = await serve(t, () => {});
  await new Promise((closed) => gone.server.close(closed));
  await refused('SOURCE_UNREACHABLE', httpSource({ metadataUrl: gone.url }).fetch('timestamp.json', 100));
  const stop = new AbortController();
  const { source: http } = await source(t, () => stop.abort());
  await refused('SOURCE_STOPPED', http.fetch('timestamp.json', 100, { signal: stop.signal }));
  await refused('SOURCE_STOPPED', http.fetch('timestamp.json', 100, { signal: AbortSignal.abort() }));
});

test('an ETag that no header may carry is not kept', async (t) => {
  const { source: http } = await source(
    t,
    (_, response) => void response.setHeader('etag', `"${'x'.repeat(300)}"`).end('b'),
  );
  assert.deepEqual(await http.fetch('timestamp.json', 100), { kind: 'found', bytes: Buffer.from('b') });
});

test('only names of metadata files leave the folder or the server', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-source-'));
  mkdirSync(join(folder, 'metadata'));
  writeFileSync(join(folder, 'secret.json'), 'x');
  writeFileSync(join(folder, 'metadata', '1.a%2Fb.json'), 'role');
  const files = directorySource(join(folder, 'metadata'));
  for (const name of [
    '../secret.json',
    '..%2f/secret.json',
    '/etc/x.json',
    'a\\b.json',
    '.json',
    'x',
    'a?b.json',
    'a#.json',
  ]) {
    assert.throws(() => files.fetch(name, 100), { code: 'SOURCE_STATUS' }, name);
    assert.throws(() => httpSource({ metadataUrl: 'http://127.0.0.1:1/' }).fetch(name, 100), { code: 'SOURCE_STATUS' });
  }
  assert.equal((await files.fetch('1.a%2Fb.json', 100)).kind, 'found');
  assert.deepEqual(await files.fetch('1.root.json', 100), { kind: 'absent' });
  assert.throws(() => files.fetch('1.a%2Fb.json', 3), { code: 'FILE_READ' });
  assert.throws(() => httpSource({ metadataUrl: 'file:///etc' }), { code: 'SOURCE_UNREACHABLE' });
});

test('a poll sends both requests before the first answer, on one kept connection', async (t) => {
  const repo = new RepositorySimulator();
  const connections = new Set<unknown>();
  const order: string[] = [];
  let held = (): void => {};
  const { source: http } = await source(t, (request, response) => {
    connections.add(request.socket);
    const name = request.url!.slice('/metadata/'.length);
    order.push(name);
    // The root probe is answered only after the timestamp was requested too.
    if (name === '2.root.json') return void (held = () => void response.writeHead(404).end());
    held();
    held = () => {};
    void repo.fetch(name, 1e9, { etag: request.headers['if-none-match'] ?? '' }).then((answer) => {
      if (answer.kind === 'unchanged') response.writeHead(304).end();
      else if (answer.kind === 'found') response.setHeader('etag', answer.etag).end(answer.bytes);
    });
  });
  const options = {
    source: http,
    store: memoryStore(),
    shippedRoot: repo.rootBytes(1),
    now: repo.now,
    profile: 'strict',
  } as const;
  let previous = await refresh(options);
  for (let i = 0; i < 3; i++) previous = await refresh({ ...options, previous });
  assert.equal(previous.changed, false);
  assert.deepEqual(order.slice(-2), ['2.root.json', 'timestamp.json']);
  assert.equal(connections.size, 1);
});
