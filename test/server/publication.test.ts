/** Publishing to a real server over a real socket, and what a device then gets from it. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { httpSource, lookUp, memoryStore, refresh } from '@countersign/protocol/node';
import { PublishedRepository } from '../support/published-repository.ts';
import {
  announcementOf,
  ask,
  blobOf,
  publish,
  startTestServer,
  upload,
  type TestServer,
} from '../support/publishing.ts';

const first = 'components/remote-support/1.0.0/any.base.tar.zst';

function sampleRepository(): PublishedRepository {
  const repository = new PublishedRepository();
  repository.offer(repository.addRelease({ name: 'remote-support', version: '1.0.0' }));
  return repository.publish();
}
const versionsOf = (repository: PublishedRepository): Record<string, number> => Object.fromEntries(repository.versions);
const device = (server: TestServer, repository: PublishedRepository) =>
  refresh({
    source: httpSource({ metadataUrl: new URL('metadata/', server.url) }),
    store: memoryStore(),
    shippedRoot: repository.shipped.root,
    now: server.clock.now,
    profile: 'strict',
  });
/** The next release of the component, offered; returns the versions it was made from. */
function addNext(repository: PublishedRepository, version: string, name = 'remote-support'): Record<string, number> {
  const base = versionsOf(repository);
  repository.offer(repository.addRelease({ name, version }));
  repository.publish();
  return base;
}
async function published(t: TestContext): Promise<{ repository: PublishedRepository; server: TestServer }> {
  const repository = sampleRepository();
  const server = await startTestServer(t, repository);
  const done = await publish(server, repository);
  assert.equal(done.status, 200, JSON.stringify(done.body));
  return { repository, server };
}

test('a device trusts what was published, and every file of it is there', async (t) => {
  const { repository, server } = await published(t);
  const session = await device(server, repository);
  const { target } = await lookUp(session, first);
  assert.equal(
    target?.length,
    repository.files.get(`targets/components/remote-support/1.0.0/${target?.sha256}.any.base.tar.zst`)?.length,
  );
  for (const [name, bytes] of repository.files) {
    if (!name.startsWith('targets/')) continue;
    const response = await fetch(new URL(name, server.url));
    assert.equal(sha256(Buffer.from(await response.arrayBuffer())), sha256(bytes));
  }
});

test('a further release is published on top, by whoever knows what stands', async (t) => {
  const { repository, server } = await published(t);
  const base = addNext(repository, '1.1.0');
  const done = await publish(server, repository, base);
  assert.equal(done.status, 200, JSON.stringify(done.body));
  assert.deepEqual([done.body.snapshot, done.body.timestamp, done.body.scanned], [2, 2, false]);
  const again = await publish(server, repository, base);
  assert.deepEqual([again.status, again.body.snapshot], [200, 2], 'the same publication again is the same answer');
});

for (const [what, bend] of [
  [
    'a release without a second person',
    (repository: PublishedRepository) =>
      void repository.signers.set('component-remote-support', [repository.keys.get('component-remote-support')![0]!]),
  ],
  [
    'a role below its threshold',
    (repository: PublishedRepository) =>
      void repository.signers.set('channels', [repository.keys.get('channels')![0]!]),
  ],
  [
    'targets in the top-level role',
    (repository: PublishedRepository) =>
      void repository.bends.set('targets', (signed) =>
        Object.assign(signed, { targets: { 'a/b': { length: 1, hashes: { sha256: sha256('x') } } } }),
      ),
  ],
  [
    'an expired role',
    (repository: PublishedRepository) =>
      void repository.bends.set('channels', (signed) => Object.assign(signed, { expires: '2020-01-01T00:00:00Z' })),
  ],
  [
    'an offer of what is not published',
    (repository: PublishedRepository) =>
      void repository.offer(repository.addRelease({ name: 'remote-support', version: '9.0.0' }), { version: '9.9.9' }),
  ],
  [
    'an offer of another statement',
    (repository: PublishedRepository) =>
      void (repository.channel.offers = repository.channel.offers.map((offer) => ({
        ...offer,
        release: sha256('other'),
      }))),
  ],
  [
    'a chain that was not signed',
    (repository: PublishedRepository) => repository.extendChain('devices', [repository.chainKeys.devices[0]!]),
  ],
] as const)
  test(`refuses ${what}, and serves what it served before`, async (t) => {
    const { repository, server } = await published(t);
    const base = versionsOf(repository);
    const timestamp = await (await fetch(new URL('metadata/timestamp.json', server.url))).text();
    repository.renew('channels').renew('targets').renew('component-remote-support');
    bend(repository);
    repository.publish();
    const refused = await publish(server, repository, base);
    assert.equal(refused.body.error?.code, 'PUBLICATION_REFUSED', JSON.stringify(refused.body));
    assert.equal(refused.status, 422);
    assert.equal(await (await fetch(new URL('metadata/timestamp.json', server.url))).text(), timestamp);
    await device(server, repository);
  });

test('what fails on the server itself is not put on the publisher, tells no place, and can be done again', async (t) => {
  const { repository, server } = await published(t);
  const base = addNext(repository, '1.1.0');
  const file = join(server.directory, 'metadata', '1.channels.json');
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  const failed = await publish(server, repository, base);
  assert.deepEqual([failed.status, failed.body.error?.code], [500, 'FILE_READ']);
  assert.equal(failed.body.error?.message, 'the server failed');
  rmSync(file, { recursive: true });
  renameSync(`${file}.away`, file);
  const done = await publish(server, repository, base);
  assert.deepEqual([done.status, done.body.snapshot], [200, 2], JSON.stringify(done.body));
});

test('refuses an announcement that contradicts itself, or that does not go forward', async (t) => {
  const { repository, server } = await published(t);
  const base = addNext(repository, '1.1.0');
  const good = announcementOf(repository, base);
  const [one] = good.targets;
  const twice = {
    ...good,
    targets: [...good.targets, { ...one!, path: 'components/x/1.0.0/any.y', length: one!.length + 1 }],
  };
  const begun = await ask(server, 'POST', '/v1/publications', twice);
  assert.deepEqual([begun.status, begun.body.error?.code], [400, 'PUBLICATION_REQUEST']);
  const old = repository.files.get('metadata/1.channels.json')!.toString('base64');
  const back = { ...good, metadata: { ...good.metadata, '1.channels.json': old } };
  const committed = await ask(server, 'POST', `/v1/publications/${await upload(server, repository, back)}/commit`);
  assert.deepEqual([committed.status, committed.body.error?.code], [400, 'PUBLICATION_REQUEST']);
  assert.equal((await publish(server, repository, base)).status, 200);
});

test('what is published takes no more uploads', async (t) => {
  const { repository, server } = await published(t);
  const id = await upload(server, repository, announcementOf(repository));
  const { sha256: digest } = announcementOf(repository).targets[0]!;
  const path = `/v1/publications/${id}/blobs/${digest}`;
  assert.equal((await ask(server, 'HEAD', path)).status, 404);
  const put = await ask(server, 'PUT', path, blobOf(repository, digest));
  assert.deepEqual([put.status, put.body.error?.code], [404, 'PUBLICATION_UNKNOWN']);
});

test('refuses to commit what was not uploaded, and an upload that is not what it says', async (t) => {
  const repository = sampleRepository();
  const server = await startTestServer(t, repository);
  const begun = await ask(server, 'POST', '/v1/publications', announcementOf(repository));
  const { id, missing } = begun.body as { id: string; missing: { sha256: string }[] };
  assert.equal((await ask(server, 'POST', `/v1/publications/${id}/commit`)).body.error?.code, 'PUBLICATION_INCOMPLETE');
  const digest = missing[0]!.sha256;
  const good = blobOf(repository, digest);
  const wrong = Buffer.from(good);
  wrong[0]! ^= 1;
  const path = `/v1/publications/${id}/blobs/${digest}`;
  assert.equal((await ask(server, 'PUT', path, wrong)).body.error?.code, 'PUBLICATION_BLOB');
  assert.equal((await ask(server, 'PUT', path, Buffer.concat([good, good]))).body.error?.code, 'PUBLICATION_BLOB');
  assert.equal((await ask(server, 'PUT', path, good, { 'upload-offset': '5' })).body.error?.code, 'PUBLICATION_BLOB');
  assert.equal(
    (await ask(server, 'PUT', `/v1/publications/${id}/blobs/${sha256('other')}`, good)).body.error?.code,
    'PUBLICATION_BLOB',
  );
  assert.equal((await ask(server, 'PUT', path, good)).status, 201);
});

test('an upload goes on where it broke off, also after a restart', async (t) => {
  const repository = sampleRepository();
  const server = await startTestServer(t, repository);
  const announcement = announcementOf(repository);
  const begun = await ask(server, 'POST', '/v1/publications', announcement);
  const digest = begun.body.missing!.map((entry) => entry.sha256).find((one) => blobOf(repository, one).length > 20)!;
  const path = `/v1/publications/${begun.body.id!}/blobs/${digest}`;
  assert.equal((await ask(server, 'PUT', path, blobOf(repository, digest).subarray(0, 7))).status, 202);
  await server.stop();
  await server.start();
  const stands = await ask(server, 'HEAD', path);
  assert.equal(stands.headers.get('upload-offset'), '7');
  assert.equal(
    (await ask(server, 'PUT', path, blobOf(repository, digest).subarray(7), { 'upload-offset': '7' })).status,
    201,
  );
  const id = await upload(server, repository, announcement);
  assert.equal(id, begun.body.id);
  assert.equal((await ask(server, 'POST', `/v1/publications/${id}/commit`)).status, 200);
});

test('takes nothing without a publisher key, nor with a revoked one', async (t) => {
  const repository = sampleRepository();
  const server = await startTestServer(t, repository);
  for (const authorization of ['', 'Bearer wrong', server.apiKey]) {
    const refused = await ask(server, 'POST', '/v1/publications', announcementOf(repository), { authorization });
    assert.deepEqual([refused.status, refused.body.error?.code], [401, 'PUBLISHER_UNKNOWN']);
  }
  const { PublisherList } = await import('../../packages/repo-server/src/publishers.ts');
  const publishers = new PublisherList(join(server.directory, 'server'));
  assert.equal((await ask(server, 'POST', '/v1/publications', announcementOf(repository))).status, 201);
  publishers.revoke('test', new Date());
  assert.equal((await ask(server, 'POST', '/v1/publications', announcementOf(repository))).status, 401);
  assert.ok(!readFileSync(join(server.directory, 'server', 'publishers.json'), 'utf8').includes(server.apiKey));
});

test('an unchanged poll costs under 600 bytes both ways', async (t) => {
  const { server } = await published(t);
  const etag = (await fetch(new URL('metadata/timestamp.json', server.url))).headers.get('etag')!;
  const { port, host } = new URL(server.url);
  const asked = ['timestamp.json', '2.root.json']
    .map(
      (name) =>
        `GET /metadata/${name} HTTP/1.1\r\nhost: ${host}\r\n${name === 'timestamp.json' ? `if-none-match: ${etag}\r\n` : ''}\r\n`,
    )
    .join('');
  const answer = await new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(asked));
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (/304[^]*404[^]*\r\n\r\n$/.test(text)) {
        socket.destroy();
        resolve(text);
      }
    });
  });
  assert.ok(asked.length + answer.length <= 600, `${asked.length} up, ${answer.length} down`);
});

test('renews its roles by itself and says when others near their end', async (t) => {
  const { repository, server } = await published(t);
  const colour = async (): Promise<string> =>
    ((await (await fetch(new URL('readyz', server.url))).json()) as { colour: string }).colour;
  assert.equal(await colour(), 'green');
  server.clock.now = new Date(server.clock.now.getTime() + 13 * 3_600_000);
  await server.stop();
  await server.start();
  const session = await device(server, repository);
  assert.equal(session.state.timestamp?.signed.version, 2);
  server.clock.now = new Date(server.clock.now.getTime() + 22 * 24 * 3_600_000);
  await server.stop();
  await server.start();
  await device(server, repository);
  assert.equal(await colour(), 'amber');
  server.clock.now = new Date(server.clock.now.getTime() + 10 * 24 * 3_600_000);
  assert.equal(await colour(), 'red');
});

test('two processes do not serve one folder', async (t) => {
  const { server } = await published(t);
  await assert.rejects(server.start(), { code: 'SERVER_ALREADY_RUNNING' });
  assert.ok(readdirSync(server.directory).includes('metadata'));
});
