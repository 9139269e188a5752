/** Several publishers at once, while the server renews the online roles: devices always get one whole state. */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { httpSource, lookUp, memoryStore, refresh, type MetadataSession } from '@countersign/protocol/node';
import { PublishedRepository } from '../support/published-repository.ts';
import {
  announcementOf,
  ask,
  publish,
  startTestServer,
  upload,
  type Announcement,
  type TestServer,
} from '../support/publishing.ts';

const versionsOf = (repository: PublishedRepository): Record<string, number> => Object.fromEntries(repository.versions);

const commit = (server: TestServer, id: string) => ask(server, 'POST', `/v1/publications/${id}/commit`);

const device = (
  server: TestServer,
  { shipped }: PublishedRepository,
  store = memoryStore(),
): Promise<MetadataSession> =>
  refresh({
    source: httpSource({ metadataUrl: new URL('metadata/', server.url) }),
    store,
    shippedRoot: shipped.root,
    now: server.clock.now,
    profile: 'strict',
  });

/** Which of these releases a device finds. */
async function found(session: MetadataSession, component: string, versions: readonly string[]): Promise<string[]> {
  const there: string[] = [];
  for (const version of versions) {
    const { target } = await lookUp(session, `components/${component}/${version}/any.base.tar.zst`);
    if (target) there.push(version);
  }
  return there;
}

/** Adds and offers the release; returns the announcement of that change. */
function change(
  repository: PublishedRepository,
  name: string,
  version: string,
  base: Record<string, number>,
): Announcement {
  repository.offer(repository.addRelease({ name, version }));
  repository.publish();
  return announcementOf(repository, base);
}

test('of two publishers with one role one wins; the other is told to rebase, does, and both changes stand', async (t) => {
  const repository = new PublishedRepository();
  change(repository, 'app', '1.0.0', {});
  const server = await startTestServer(t, repository);
  assert.equal((await publish(server, repository)).status, 200);
  const base = versionsOf(repository);
  const { offers } = repository.channel;
  const red = change(repository, 'app', '1.1.0', base);
  const release = repository.releases.get('app 1.1.0 any')!;
  const [, redOffer] = repository.channel.offers;
  // The other starts from what the first one started from.
  repository.releases.delete('app 1.1.0 any');
  repository.channel.offers = offers;
  for (const [role, version] of Object.entries(base)) repository.versions.set(role, version);
  const blue = change(repository, 'app', '1.2.0', base);
  assert.notEqual(red.metadata['2.channels.json'], blue.metadata['2.channels.json']);
  assert.deepEqual(Object.keys(red.metadata).sort(), Object.keys(blue.metadata).sort());

  const ids = [await upload(server, repository, red), await upload(server, repository, blue)];
  const answers = await Promise.all(ids.map((id) => commit(server, id)));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
  const lost = answers.find(({ status }) => status === 409)!;
  assert.equal(lost.body.error?.code, 'PUBLICATION_CONFLICT');
  assert.match(lost.body.error.hint, /rebase/);
  const winner = answers[0]!.status === 200 ? '1.1.0' : '1.2.0';
  const versions = ['1.0.0', '1.1.0', '1.2.0'];
  assert.deepEqual(await found(await device(server, repository), 'app', versions), ['1.0.0', winner]);
  const again = await commit(server, ids[winner === '1.1.0' ? 1 : 0]!);
  assert.equal(again.body.error?.code, 'PUBLICATION_CONFLICT', 'asking again does not help');

  const published = versionsOf(repository);
  repository.releases.set('app 1.1.0 any', release);
  repository.channel.offers = [...repository.channel.offers, redOffer!];
  repository.publish();
  const rebased = await publish(server, repository, published);
  assert.equal(rebased.status, 200, JSON.stringify(rebased.body));
  assert.deepEqual(await found(await device(server, repository), 'app', versions), versions);
});

test('publishers of different roles do not disturb each other', async (t) => {
  const repository = new PublishedRepository();
  for (const name of ['app', 'tool']) repository.addRelease({ name, version: '1.0.0' });
  repository.publish();
  const server = await startTestServer(t, repository);
  assert.equal((await publish(server, repository)).status, 200);
  const announcements = ['app', 'tool'].map((name) => {
    const base = versionsOf(repository);
    repository.addRelease({ name, version: '1.1.0' });
    repository.publish();
    return announcementOf(repository, base);
  });
  assert.deepEqual(
    announcements.map(({ metadata }) => Object.keys(metadata)),
    [['2.component-app.json'], ['2.component-tool.json']],
  );
  const ids = await Promise.all(announcements.map((announcement) => upload(server, repository, announcement)));
  const answers = await Promise.all(ids.map((id) => commit(server, id)));
  assert.deepEqual(
    answers.map(({ status, body }) => [status, body.timestamp]),
    [
      [200, 2],
      [200, 3],
    ],
  );
  const session = await device(server, repository);
  for (const name of ['app', 'tool'])
    assert.deepEqual(await found(session, name, ['1.0.0', '1.1.0']), ['1.0.0', '1.1.0']);
});

test('one publication that is committed several times at once is one publication', async (t) => {
  const repository = new PublishedRepository();
  change(repository, 'app', '1.0.0', {});
  const server = await startTestServer(t, repository);
  const id = await upload(server, repository, announcementOf(repository));
  const answers = await Promise.all([1, 2, 3].map(() => commit(server, id)));
  for (const { status, body } of answers)
    assert.deepEqual([status, body.snapshot, body.timestamp], [200, 1, 1], JSON.stringify(body));
});

test('a publication that was done is done, also for whoever announces it otherwise or lost the answer', async (t) => {
  const repository = new PublishedRepository();
  change(repository, 'app', '1.0.0', {});
  const server = await startTestServer(t, repository);
  assert.equal((await publish(server, repository)).status, 200);
  const base = versionsOf(repository);
  const announcement = change(repository, 'app', '1.1.0', base);
  assert.equal((await commit(server, await upload(server, repository, announcement))).body.timestamp, 2);
  const other = { ...announcement, targets: [...announcement.targets].reverse() };
  const id = await upload(server, repository, other);
  const { status, body } = await commit(server, id);
  assert.deepEqual([status, body.snapshot, body.timestamp], [200, 2, 2], JSON.stringify(body));
  const bent = { ...other, metadata: { ...other.metadata, '3.channels.json': other.metadata['2.channels.json']! } };
  assert.equal((await commit(server, await upload(server, repository, bent))).body.error?.code, 'PUBLICATION_CONFLICT');
});

test('the online roles are renewed while the server runs, and devices accept them day after day', async (t) => {
  const repository = new PublishedRepository();
  change(repository, 'app', '1.0.0', {});
  t.mock.timers.enable({ apis: ['setInterval'] });
  const server = await startTestServer(t, repository);
  assert.equal((await publish(server, repository)).status, 200);
  const store = memoryStore();
  const first = await device(server, repository, store);
  const versions = ({ state }: MetadataSession): [number, number] => [
    state.timestamp!.signed.version,
    state.snapshot!.signed.version,
  ];
  assert.deepEqual(versions(first), [1, 1]);
  const timestamp = async (): Promise<string> => (await fetch(new URL('metadata/timestamp.json', server.url))).text();
  const hours = (count: number): void =>
    void (server.clock.now = new Date(server.clock.now.getTime() + count * 3_600_000));
  /** Moves the server's interval timers by ten minutes; resolves after any renewal is written. */
  const tick = async (renews: boolean): Promise<void> => {
    const before = await timestamp();
    t.mock.timers.tick(10 * 60_000);
    while (renews && (await timestamp()) === before) await setImmediate();
  };
  hours(11);
  await tick(false);
  assert.deepEqual(versions(await device(server, repository, store)), [1, 1], 'nothing is due');
  hours(14);
  await assert.rejects(device(server, repository), { code: 'TUF_EXPIRED' }, 'a day without the server’s timer');
  await tick(true);
  const seen: [number, number][] = [];
  for (let day = 0; day < 8; day++) {
    const session = await device(server, repository, store);
    seen.push(versions(session));
    for (const { signed } of [session.state.timestamp!, session.state.snapshot!])
      assert.ok(Date.parse(signed.expires) > server.clock.now.getTime());
    hours(24);
    await tick(true);
  }
  assert.deepEqual(seen, [
    [2, 1],
    [3, 1],
    [4, 1],
    [5, 2],
    [6, 2],
    [7, 2],
    [8, 2],
    [9, 3],
  ]);
  const base = versionsOf(repository);
  const announcement = change(repository, 'app', '1.1.0', base);
  const done = await commit(server, await upload(server, repository, announcement));
  assert.equal(done.status, 200, 'publishing goes on where renewing left off');
  assert.deepEqual(await found(await device(server, repository, store), 'app', ['1.0.0', '1.1.0']), ['1.0.0', '1.1.0']);
  t.mock.timers.reset();
  await server.stop();
});

test('what nobody publishes within a week is removed while the server runs', async (t) => {
  const repository = new PublishedRepository();
  change(repository, 'app', '1.0.0', {});
  t.mock.timers.enable({ apis: ['setInterval'] });
  const server = await startTestServer(t, repository);
  const id = await upload(server, repository, announcementOf(repository));
  const staged = (): string[] => globSync('*/*', { cwd: join(server.directory, 'staging') });
  const { length } = staged();
  assert.ok(length > 5);
  server.clock.now = new Date(server.clock.now.getTime() + 6 * 24 * 3_600_000);
  t.mock.timers.tick(10 * 60_000);
  await setImmediate();
  assert.equal(staged().length, length);
  server.clock.now = new Date(server.clock.now.getTime() + 2 * 24 * 3_600_000);
  t.mock.timers.tick(10 * 60_000);
  while (staged().length > 0) await setImmediate();
  assert.equal((await commit(server, id)).body.error?.code, 'PUBLICATION_UNKNOWN');
  t.mock.timers.reset();
  await server.stop();
});
