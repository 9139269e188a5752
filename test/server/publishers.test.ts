/** Who may publish: wrong or revoked keys open nothing, at any address, and are never logged. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { sha256 } from '@countersign/protocol';
import { PublisherList } from '../../packages/repo-server/src/publishers.ts';
import { PublishedRepository } from '../support/published-repository.ts';
import {
  announcementOf,
  ask,
  blobOf,
  publish,
  startTestServer,
  type Answer,
  type TestServer,
} from '../support/publishing.ts';
import { runServerCommand } from '../support/server-program.ts';

interface Scene {
  readonly repository: PublishedRepository;
  readonly server: TestServer;
  readonly id: string;
  readonly blob: string;
  readonly digest: string;
  /** Everything that the server logged. */
  log(): string;
}

/** A publication that was announced and has no uploads yet. */
async function scene(t: TestContext): Promise<Scene> {
  const repository = new PublishedRepository();
  repository.offer(repository.addRelease({ name: 'remote-support', version: '1.0.0' }));
  repository.publish();
  const lines: string[] = [];
  const stream = new Writable({ write: (chunk: Buffer, _encoding, done) => (lines.push(chunk.toString()), done()) });
  const server = await startTestServer(t, repository, { logger: pino({ level: 'trace' }, stream) });
  const { id } = (await ask(server, 'POST', '/v1/publications', announcementOf(repository))).body;
  const digest = announcementOf(repository).targets[0]!.sha256;
  return {
    repository,
    server,
    id: id!,
    digest,
    blob: `/v1/publications/${id!}/blobs/${digest}`,
    log: () => lines.join(''),
  };
}

/** Status and code of each thing that a publisher may ask. */
async function askAll({ repository, server, id, blob, digest }: Scene, authorization: string): Promise<string[]> {
  const headers = { authorization };
  const answers = [
    await ask(server, 'POST', '/v1/publications', announcementOf(repository), headers),
    await ask(server, 'HEAD', blob, undefined, headers),
    await ask(server, 'PUT', blob, blobOf(repository, digest), headers),
    await ask(server, 'POST', `/v1/publications/${id}/commit`, undefined, headers),
  ];
  return answers.map(({ status, body }) => `${status} ${body.error?.code ?? ''}`.trim());
}
const refused = ['401 PUBLISHER_UNKNOWN', '401', '401 PUBLISHER_UNKNOWN', '401 PUBLISHER_UNKNOWN'];

test('a revoked key opens no address of the publication API from the next request on, without a restart', async (t) => {
  const place = await scene(t);
  const { server, repository, id } = place;
  const key = `Bearer ${server.apiKey}`;
  assert.deepEqual(await askAll(place, key), ['201', '200', '201', '409 PUBLICATION_INCOMPLETE']);
  // A connection that was authorised once does not stay authorised.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const over = (): Promise<[status: number | undefined, port: number | undefined]> =>
    new Promise((done, failed) => {
      const commit = new URL(`/v1/publications/${id}/commit`, server.url);
      const sent = request(commit, { method: 'POST', agent, headers: { authorization: key } });
      sent.on('response', (response) => {
        const port = response.socket.localPort;
        response.resume().on('end', () => done([response.statusCode, port]));
      });
      sent.on('error', failed).end();
    });
  const [status, port] = await over();
  assert.equal(status, 409);
  const other = new PublisherList(join(server.directory, 'server')).add('other', new Date());
  const revoked = await runServerCommand(server, ['publisher', 'revoke', 'test']);
  assert.equal(revoked.code, 0, revoked.stdout);
  assert.deepEqual(await over(), [401, port]);
  assert.deepEqual(await askAll(place, key), refused);
  const { apiKey } = JSON.parse((await runServerCommand(server, ['publisher', 'add', 'test'])).stdout) as {
    apiKey: string;
  };
  assert.deepEqual(await askAll(place, key), refused, 'also when somebody of that name may publish again');
  for (const good of [other, apiKey])
    assert.equal((await publish({ url: server.url, apiKey: good }, repository)).status, 200);
});

test('only the whole key opens, given in the one way', async (t) => {
  const place = await scene(t);
  const { server, repository } = place;
  const key = server.apiKey;
  const stored = JSON.parse(readFileSync(join(server.directory, 'server', 'publishers.json'), 'utf8')) as {
    publishers: { test: { key: string } };
  };
  assert.equal(stored.publishers.test.key, sha256(key));
  for (const authorization of [
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${key.slice(0, -1)}`,
    `Bearer ${key}A`,
    `Bearer ${key} ${key}`,
    `Bearer ${key},`,
    `Bearer  ${key}`,
    `Bearer ${key.toUpperCase()}`,
    `Bearer ${key.replace('-test-', '-tset-')}`,
    `Bearer ${stored.publishers.test.key}`,
    `Bearer ${'a'.repeat(5000)}`,
    `Basic ${Buffer.from(`test:${key}`).toString('base64')}`,
    key,
    'Bearer __proto__',
  ])
    assert.deepEqual(await askAll(place, authorization), refused, authorization);
  const inAddress = await fetch(new URL(`/v1/publications?key=${key}&authorization=Bearer%20${key}`, server.url), {
    method: 'POST',
  });
  assert.equal(inAddress.status, 401);
  assert.equal((await publish(server, repository)).status, 200);
});

test('publishers that are added and revoked at the same time all stay so', async (t) => {
  const { server } = await scene(t);
  const state = join(server.directory, 'server');
  const module = new URL('../../packages/repo-server/src/publishers.ts', import.meta.url).href;
  const adding = (team: string): Promise<unknown> => {
    const script = `import { PublisherList } from ${JSON.stringify(module)};
      const list = new PublisherList(${JSON.stringify(state)});
      for (let index = 0; index < 20; index++) list.add('${team}-' + index, new Date());
      for (let index = 0; index < 20; index += 2) list.revoke('${team}-' + index, new Date());`;
    return promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
  };
  await Promise.all(['red', 'blue'].map(adding));
  const list = Object.entries(new PublisherList(state).list()).filter(([name]) => name !== 'test');
  assert.equal(list.length, 40);
  for (const [name, { revoked }] of list) assert.equal(revoked !== undefined, /[02468]$/.test(name), name);
  const { publishers } = JSON.parse((await runServerCommand(server, ['publisher', 'list'])).stdout) as {
    publishers: { name: string }[];
  };
  assert.equal(publishers.length, 41);
});

test('errors tell a code, words and a hint; never a stack, a place on the disk or a key', async (t) => {
  const place = await scene(t);
  const { repository, server, digest, log } = place;
  const stolen = 'countersign-test-ThisIsAGuessedKeyThatNobodyShouldEverSeeAgain';
  const answers: [string, unknown][] = [];
  const keep = ({ status, body }: Answer): void => void answers.push([`${status} ${body.error?.code}`, body]);
  const announce = (body: unknown, key = server.apiKey) =>
    ask(server, 'POST', '/v1/publications', body, { authorization: `Bearer ${key}` });
  const bytes = blobOf(repository, digest);
  const unknown = `/v1/publications/${'0'.repeat(64)}`;
  keep(await announce(announcementOf(repository), stolen));
  keep(await announce({ metadata: {}, targets: [], base: {} }));
  keep(
    await announce({ ...announcementOf(repository), targets: [{ path: '../../server/x', sha256: digest, length: 1 }] }),
  );
  keep(await ask(server, 'PUT', `${unknown}/blobs/${digest}`, bytes));
  keep(await ask(server, 'PUT', `/v1/publications/..%2f..%2fserver/blobs/${digest}`, bytes));
  keep(await ask(server, 'PUT', place.blob, bytes, { 'upload-offset': '-1' }));
  keep(await ask(server, 'PUT', place.blob, { an: 'object' }));
  keep(await ask(server, 'POST', `${unknown}/commit`));
  keep(await ask(server, 'POST', `/v1/publications/${place.id}/commit`));
  keep(await ask(server, 'GET', '/targets/%zz'));
  keep(await ask(server, 'GET', `/metadata/${'a'.repeat(3000)}`));
  const file = join(server.directory, 'server', 'publishers.json');
  const publishers = readFileSync(file);
  rmSync(file);
  mkdirSync(file);
  keep(await announce({}));
  rmSync(file, { recursive: true });
  writeFileSync(file, publishers);
  assert.deepEqual(
    answers.map(([answer]) => answer),
    [
      '401 PUBLISHER_UNKNOWN',
      '400 FORMAT_SCHEMA',
      '404 STORE_NAME',
      '404 PUBLICATION_UNKNOWN',
      '400 PUBLICATION_REQUEST',
      '400 PUBLICATION_REQUEST',
      '400 PUBLICATION_REQUEST',
      '404 PUBLICATION_UNKNOWN',
      '409 PUBLICATION_INCOMPLETE',
      '404 NOT_FOUND',
      '404 NOT_FOUND',
      '500 FILE_READ',
    ],
  );
  const secrets = [server.apiKey, stolen, sha256(server.apiKey)];
  for (const [answer, body] of answers) {
    const text = JSON.stringify(body);
    assert.doesNotMatch(text, /\\n\s+at |file:\/\/|node:|node_modules|\.ts:|%zz|aaaa/, answer);
    const told = [...secrets, server.directory, import.meta.dirname].filter((one) => text.includes(one));
    assert.deepEqual(told, [], `${answer}: ${text}`);
  }
  assert.match(log(), /publishers\.json.*FILE_READ/, 'the log has what the answer keeps back');
  assert.deepEqual(
    secrets.filter((secret) => log().includes(secret)),
    [],
    'no key, right or wrong, is logged',
  );
});
