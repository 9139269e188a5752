import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { memoryStore } from '../../../../../test/support/memory-store.ts';
import {
  RepositorySimulator,
  day,
  time,
  type SimulatorOptions,
} from '../../../../../test/support/repository-simulator.ts';
import { makeKey } from '../../../../../test/support/tuf-keys.ts';
import { lookUp, refresh, type MetadataSession, type RefreshOptions } from './metadata-client.ts';
import { directoryStore, roleFileName, type MetadataStore } from './metadata-store.ts';
import { recordedFiles } from './recorded-files.ts';

function client(options: SimulatorOptions = {}, store = memoryStore()) {
  const repo = new RepositorySimulator(options);
  const shippedRoot = repo.rootBytes(1);
  const run = (more: Partial<RefreshOptions> = {}): Promise<MetadataSession> =>
    refresh({ source: repo, store, shippedRoot, now: repo.now, profile: 'strict', ...more });
  return { repo, store, run };
}

const versions = ({ state }: MetadataSession) => [
  state.root.signed.version,
  state.timestamp?.signed.version,
  state.snapshot?.signed.version,
  state.targets.get('targets')?.signed.version,
];
const refused = (code: string, work: Promise<unknown>): Promise<void> => assert.rejects(work, { code });

test('the first refresh asks for each role once and keeps each as it was accepted', async () => {
  const { repo, store, run } = client();
  assert.deepEqual(versions(await run()), [1, 1, 1, 1]);
  assert.deepEqual(repo.requests, ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json']);
  assert.deepEqual(store.writes, ['root 1', 'record', 'timestamp', 'record', 'snapshot', 'record', 'targets']);
  assert.deepEqual(store.roles.get('targets'), repo.bytes('targets'));
});

test('an unchanged poll asks twice, writes nothing and parses nothing', async () => {
  const { repo, store, run } = client();
  const first = await run();
  repo.requests.length = store.writes.length = 0;
  const again = await run({ previous: first });
  assert.deepEqual([repo.requests, store.writes], [['2.root.json', 'timestamp.json'], []]);
  assert.equal(again.state, first.state);
  assert.deepEqual([first.changed, again.changed], [true, false]);
  const restarted = await run();
  assert.deepEqual([versions(restarted), restarted.changed], [[1, 1, 1, 1], false]);
  assert.deepEqual(store.writes, []);
});

test('the unchanged poll checks every expiry', async () => {
  for (const [role, days] of [
    ['timestamp', 1],
    ['snapshot', 7],
    ['targets', 365],
  ] as const) {
    const { repo, run } = client();
    for (const document of [repo.root, repo.timestamp, repo.snapshot, repo.targets()])
      document.expires = time(new Date(repo.now.getTime() + 900 * day));
    (role === 'targets' ? repo.targets() : repo[role]).expires = time(new Date(repo.now.getTime() + days * day));
    repo.publish();
    const previous = await run();
    const now = new Date(repo.now.getTime() + days * day);
    await refused('TUF_EXPIRED', run({ previous, now }));
    await refused('TUF_EXPIRED', run({ now }));
    assert.equal((await run({ previous, now: new Date(now.getTime() - 1) })).changed, false);
  }
  const { repo, run } = client();
  const previous = await run();
  await refused('TUF_EXPIRED', run({ previous, now: new Date(repo.now.getTime() + 365 * day) }));
});

test('a loaded role that expires is forgotten and refused when it is needed', async () => {
  const { repo, run } = client();
  repo.delegate('targets', 'channels', ['channels/*']).expires = time(new Date(repo.now.getTime() + day / 2));
  repo.addTarget('channels', 'channels/stable.json', '{}');
  repo.publish();
  const previous = await run();
  assert.equal((await lookUp(previous, 'channels/stable.json')).target?.length, 2);
  const next = await run({ previous, now: new Date(repo.now.getTime() + day / 2) });
  assert.deepEqual(next.expired, ['channels']);
  await refused('TUF_EXPIRED', lookUp(next, 'channels/stable.json'));
});

test('a role accepted before a later one is refused stays accepted', async () => {
  const { repo, store, run } = client();
  await run();
  repo.publish('targets');
  repo.files.delete('2.snapshot.json');
  await refused('TUF_MISSING', run());
  assert.deepEqual(store.roles.get('timestamp'), repo.bytes('timestamp'));
  assert.equal(store.record?.floors.get('snapshot'), 2);
  assert.equal(store.record?.floors.get('targets'), 1);
});

test('only a missing root ends the walk; a failing source fails the refresh', async () => {
  const { repo, run } = client();
  await run();
  const failing = {
    fetch: (name: string, maximum: number) =>
      name.includes('root')
        ? Promise.reject(Object.assign(new Error(), { code: 'SOURCE_STATUS' }))
        : repo.fetch(name, maximum),
  };
  await refused('SOURCE_STATUS', run({ source: failing }));
});

test('roots are walked one by one, at most so many in a refresh, each kept', async () => {
  const { repo, store, run } = client();
  for (let i = 0; i < 5; i++) repo.publish('root');
  const first = await run({ maximumRoots: 3 });
  assert.equal(first.state.root.signed.version, 4);
  assert.deepEqual([...store.roots.keys()], [1, 2, 3, 4]);
  assert.equal((await run()).state.root.signed.version, 6);
});

test('after a new root the cached timestamp is verified again, and an ETag for it is not believed', async () => {
  const { repo, run } = client();
  const previous = await run();
  repo.rotateKeys('timestamp');
  repo.publish('root');
  await refused('TUF_SIGNATURE', run({ previous }));
  repo.publish('timestamp');
  assert.deepEqual(versions(await run({ previous })), [2, 2, 1, 1]);
});

test('a client between root and timestamp of a rotation looks at the roots again, once', async () => {
  const { repo, run } = client();
  await run();
  const before = new Map(repo.files);
  repo.rotateKeys('timestamp');
  repo.publish('root', 'timestamp');
  let asked = 0;
  const racing = {
    fetch: (name: string, maximum: number) => {
      if (name !== '2.root.json' || ++asked > 1) return repo.fetch(name, maximum);
      return Promise.resolve(before.has(name) ? assert.fail() : ({ kind: 'absent' } as const));
    },
  };
  const session = await run({ source: racing });
  assert.deepEqual([versions(session), session.retried], [[2, 2, 1, 1], true]);
});

test('floors survive lost and torn files: an older repository is refused', async () => {
  for (const damage of ['lost', 'torn'] as const) {
    const { repo, store, run } = client();
    const old = new Map(repo.files);
    repo.delegate('targets', 'channels', ['channels/*']);
    repo.publish();
    repo.publish('channels');
    await run();
    for (const [role, bytes] of store.roles)
      if (damage === 'lost') store.roles.delete(role);
      else store.roles.set(role, bytes.subarray(0, bytes.length / 2));
    const files = new Map(repo.files);
    repo.files.clear();
    for (const [name, bytes] of [...old, ['2.root.json', files.get('2.root.json')!] as const])
      repo.files.set(name, bytes);
    await refused('TUF_ROLLBACK', run());
    for (const [name, bytes] of files) repo.files.set(name, bytes);
    assert.deepEqual(versions(await run()), [2, 3, 3, 2]);
  }
});

test('floors come back from the files where the record is lost', async () => {
  const { repo, store, run } = client();
  const old = repo.bytes('timestamp');
  repo.publish('targets');
  await run();
  store.record = undefined;
  repo.files.set('timestamp.json', old);
  await refused('TUF_ROLLBACK', run());
});

test('a rebuild from the shipped root must give the roots on record', async () => {
  const { repo, store, run } = client();
  repo.publish('root');
  repo.publish('root');
  await run();
  for (const torn of [2, 3]) {
    store.roots.set(torn, Buffer.from('{'));
    assert.equal((await run()).state.root.signed.version, 3);
  }
  store.roots.clear();
  const real = repo.rootBytes(2);
  repo.files.set('2.root.json', repo.sign('root', { ...repo.root, version: 2, other: 'one' }));
  await refused('TUF_ROOT_CHANGED', run());
  repo.files.set('2.root.json', real);
  assert.equal((await run()).state.root.signed.version, 3);
  const forged = repo.sign('root', { ...repo.root, version: 1, other: 'one' });
  await refused('TUF_ROOT_CHANGED', run({ shippedRoot: forged }));
});

test('what a failed refresh accepted holds for the next one from the same session', async () => {
  const { repo, store, run } = client();
  const previous = await run();
  const old = new Map(repo.files);
  repo.publish('root', 'targets');
  repo.files.delete('2.snapshot.json');
  await refused('TUF_MISSING', run({ previous }));
  assert.deepEqual([store.record?.floors.get('timestamp'), store.record?.roots.size], [2, 2]);
  repo.files.set('timestamp.json', old.get('timestamp.json')!);
  await refused('TUF_ROLLBACK', run({ previous }));
  repo.files.set('2.root.json', Buffer.concat([repo.files.get('2.root.json')!, Buffer.from(' ')]));
  store.roots.clear();
  await refused('TUF_ROOT_CHANGED', run({ previous }));
  assert.equal(store.record?.floors.get('timestamp'), 2);
});

test('walking again over a root that rotated keys does not drop the floors of today', async () => {
  const { repo, store, run } = client();
  await run();
  repo.rotateKeys('timestamp');
  repo.publish('root', 'timestamp');
  for (let i = 0; i < 5; i++) repo.publish('timestamp');
  await run();
  store.roots.clear();
  store.roles.clear();
  repo.timestamp.version = 2;
  repo.publish('timestamp');
  await refused('TUF_ROLLBACK', run());
});

test('fast-forward recovery drops files, floors and ETag (§5.3.11)', async () => {
  const { repo, store, run } = client();
  repo.timestamp.version = repo.snapshot.version = 99;
  repo.publish('targets');
  const previous = await run();
  repo.rotateKeys('snapshot');
  repo.timestamp.version = repo.snapshot.version = 0;
  repo.publish('root', 'targets');
  assert.deepEqual(versions(await run({ previous })), [2, 1, 1, 3]);
  assert.ok(store.writes.indexOf('-timestamp') < store.writes.lastIndexOf('record'));
  assert.equal(store.record?.floors.get('timestamp'), 1);
});

test('a newer root that came with a newer program is taken, and recovers as if it had been fetched', async () => {
  const { repo, store, run } = client();
  repo.timestamp.version = 99;
  repo.publish('timestamp');
  await run();
  repo.rotateKeys('timestamp');
  repo.timestamp.version = 0;
  repo.publish('root', 'timestamp');
  const session = await run({ shippedRoot: repo.rootBytes(2) });
  assert.deepEqual(versions(session), [2, 1, 1, 1]);
  assert.deepEqual([...store.roots.keys()], [1, 2]);
});

test('an equal timestamp version with other bytes is not kept', async () => {
  const { repo, store, run } = client();
  await run();
  const kept = store.roles.get('timestamp');
  repo.timestamp.version = 0;
  repo.timestamp.other = 'x';
  repo.publish('timestamp');
  assert.equal((await run()).changed, false);
  assert.equal(store.roles.get('timestamp'), kept);
});

test('roles are loaded as a search needs them, from the store where they are there', async () => {
  const { repo, store, run } = client();
  repo.delegate('targets', 'channels', ['channels/*']);
  repo.delegate('targets', 'revocations', ['revocations/*']);
  repo.addTarget('channels', 'channels/stable.json', '{}');
  repo.publish();
  const session = await run();
  const { target, roles } = await lookUp(session, 'channels/stable.json');
  assert.deepEqual([target?.length, roles], [2, ['targets', 'channels']]);
  assert.deepEqual(await lookUp(session, 'channels/none.json'), { target: null, roles: ['targets', 'channels'] });
  repo.requests.length = 0;
  await lookUp(await run(), 'channels/stable.json');
  assert.deepEqual(repo.requests, ['3.root.json', 'timestamp.json']);
  store.roles.set('channels', Buffer.from('torn'));
  await lookUp(await run(), 'channels/stable.json');
  assert.equal(repo.requests.at(-1), '1.channels.json');
  assert.deepEqual(store.roles.get('channels'), repo.bytes('channels'));
});

test('the stricter profile refuses before anything is kept, the general one does not', async () => {
  const { repo, store, run } = client({ profile: 'general' });
  await refused('TUF_PROFILE', run());
  assert.equal(store.roles.size, 0);
  assert.deepEqual(versions(await run({ profile: 'general' })), [1, 1, 1, 1]);
  repo.root.consistent_snapshot = false;
  repo.publish('root');
  await refused('TUF_PROFILE', run());
  assert.deepEqual([...store.roots.keys()], [1]);
  await refused('TUF_PROFILE', run({ shippedRoot: repo.rootBytes(2) }));
});

test('what was kept under the general profile is held to the stricter one when it is read back', async () => {
  const { repo, run } = client();
  repo.addTarget('targets', 'loose.txt', 'the top-level role lists nothing itself');
  repo.publish('targets');
  await run({ profile: 'general' });
  await refused('TUF_PROFILE', run());
  repo.publish('snapshot');
  await refused('TUF_PROFILE', run());
});

test('without consistent snapshots files have no version in their names', async () => {
  const { repo, run } = client();
  repo.root.consistent_snapshot = false;
  repo.publish();
  const session = await run({ profile: 'general' });
  assert.deepEqual(repo.requests.slice(-2), ['snapshot.json', 'targets.json']);
  assert.deepEqual(
    [...(await recordedFiles(session)).keys()],
    ['2.root.json', '1.root.json', 'timestamp.json', 'snapshot.json', 'targets.json'],
  );
});

test('no more is asked for than signed metadata allows, and never more than the profile', async () => {
  const { repo, run } = client();
  const asked = new Map<string, number>();
  const source = {
    fetch: (name: string, maximum: number) => {
      asked.set(name, maximum);
      return repo.fetch(name, maximum);
    },
  };
  await run({ source });
  assert.deepEqual([...asked.values()], [512_000, 16_384, repo.bytes('snapshot').length, repo.bytes('targets').length]);
  repo.snapshot.meta['targets.json']!.length = 50_000_000;
  repo.snapshot.meta['targets.json']!.version = 2;
  repo.publish('snapshot');
  await refused('TUF_MISSING', run({ source }));
  assert.equal(asked.get('2.targets.json'), 5_000_000);
});

test('the files that lead here are on record, from the first root on', async () => {
  const { repo, run } = client();
  repo.publish('root');
  const session = await run();
  const files = await recordedFiles(session);
  assert.deepEqual([...files.keys()].sort(), [
    '1.root.json',
    '1.snapshot.json',
    '1.targets.json',
    '2.root.json',
    'timestamp.json',
  ]);
  assert.deepEqual(files.get('1.root.json'), repo.rootBytes(1));
});

test('a folder holds trusted metadata under plain names and survives a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-store-'));
  const { repo, run } = client();
  const start = (store: MetadataStore) => run({ store });
  repo.publish('root');
  await start(directoryStore(folder));
  assert.deepEqual(readdirSync(folder).sort(), [
    'history',
    'root.json',
    'snapshot.json',
    'targets.json',
    'timestamp.json',
  ]);
  assert.deepEqual(readFileSync(join(folder, 'root.json')), repo.rootBytes(2));
  repo.publish('targets');
  const old = repo.files.get('timestamp.json')!;
  assert.equal((await start(directoryStore(folder))).changed, true);
  assert.equal((await start(directoryStore(folder))).changed, false);
  writeFileSync(join(folder, 'history', 'record'), 'torn');
  writeFileSync(join(folder, 'timestamp.json'), old.subarray(1));
  assert.equal((await start(directoryStore(folder))).state.timestamp?.signed.version, 2);
});

test('no two roles share a file, on any file system', () => {
  const names = [
    'a',
    'A',
    '?',
    '#',
    '../up',
    '..',
    '/x',
    'con',
    'con.x',
    'конец',
    'x'.repeat(300),
    'y'.repeat(300),
    'a.b',
    'A.B',
  ];
  const files = names.map((name) => roleFileName(name).toLowerCase());
  assert.equal(new Set(files).size, names.length);
  for (const file of files) assert.match(file, /^(?!con\b|\.)[a-z0-9._%-]{1,210}\.json$/);
  assert.equal(roleFileName('component-x'), 'component-x.json');
});

test('two keys of one material do not make two signers in the profile either', async () => {
  const key = makeKey();
  const { repo, run } = client({ keys: { targets: [key] } });
  repo.root.keys.alias = { ...key.public };
  repo.root.roles.targets = { keyids: [key.keyid, 'alias'], threshold: 1 };
  repo.publish('root');
  await refused('TUF_PROFILE', run());
});
