/** What Countersign's own profile refuses although the specification allows it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { serialize, type Root, type Snapshot, type Targets, type Timestamp } from './metadata.ts';
import { checkProfile, isTargetPath, rolePaths } from './profile.ts';

type Signed = Root | Timestamp | Snapshot | Targets;
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- documents are bent in every way here
type Loose = Record<string, any>;

const publicHex = (): string =>
  generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
const key = (hex = publicHex()) => ({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } });
const two = { a: key(), b: key() };
const role = { keyids: ['a', 'b'], threshold: 2 };
const common = (type: string) => ({ _type: type, spec_version: '1.0.31', version: 1, expires: '2027-01-01T00:00:00Z' });
const entry = { length: 3, hashes: { sha256: '0'.repeat(64) } };
const meta = { version: 1, ...entry };

const documents = {
  root: () => ({
    ...common('root'),
    consistent_snapshot: true,
    keys: { ...two },
    roles: { root: { ...role }, timestamp: { ...role }, snapshot: { ...role }, targets: { ...role } },
  }),
  timestamp: () => ({
    ...common('timestamp'),
    meta: { 'snapshot.json': { ...meta } },
    'x-countersign-issued': '2026-11-01T00:00:00Z',
  }),
  snapshot: () => ({ ...common('snapshot'), meta: { 'targets.json': { ...meta }, 'component-app.json': { ...meta } } }),
  targets: () => ({
    ...common('targets'),
    targets: {},
    delegations: {
      keys: { ...two },
      roles: [
        { ...role, name: 'component-app', terminating: true, paths: ['components/app/*/*'] },
        { ...role, name: 'channels', terminating: true, paths: ['channels/*'] },
      ],
    },
  }),
  'component-app': () => ({ ...common('targets'), targets: { 'components/app/1.0.0/x.tar': { ...entry } } }),
};
type Name = keyof typeof documents;

const judge = (name: string, signed: Loose, signatures = 1): void => {
  const list = Array.from({ length: signatures }, (_, index) => ({ keyid: `k${index}`, sig: '00' }));
  checkProfile(name, signed as unknown as Signed, serialize(signed, list));
};
const many = <T>(count: number, name: (index: number) => string, value: T): Record<string, T> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [name(index), value]));
const letters = (index: number): string => `component-a${index.toString(36)}`;

test('a repository of our shape passes', () => {
  for (const [name, document] of Object.entries(documents)) judge(name, document());
  judge('root', documents.root(), 16);
  judge('targets', { ...documents.targets(), delegations: undefined });
  judge('snapshot', { ...common('snapshot'), meta: many(1000, (index) => `${letters(index)}.json`, meta) });
});

/** The document, the change to it, and the words of the refusal. */
const faults: readonly (readonly [Name, (document: Loose) => void, RegExp])[] = [
  ['root', (it) => (it.expires = '2027-01-01T00:00:00.5Z'), /expires has fractions/],
  ['root', (it) => (it.padding = 'x'.repeat(512_000)), /bytes, allowed are 512000/],
  ['timestamp', (it) => (it.padding = 'x'.repeat(16_384)), /bytes, allowed are 16384/],
  ['root', (it) => (it.consistent_snapshot = false), /consistent_snapshot is off/],
  ['root', (it) => (it.roles.mirror = role), /it has a role mirror/],
  ['root', (it) => (it.roles.targets.keyids = ['a', 'c']), /its key c is missing or unusable/],
  ['root', (it) => (it.roles.targets.keyids = ['constructor']), /its key constructor is missing or unusable/],
  ['root', (it) => (it.keys.a.keytype = 'unknown'), /its key a is missing or unusable/],
  ['root', (it) => ((it.keys.c = it.keys.a), (it.roles.root.keyids = ['a', 'c'])), /one key stands under two key ids/],
  ['root', (it) => (it.roles.root.threshold = 3), /it has 2 keys, its threshold is 3/],
  ['root', (it) => (it.roles.root.keyids = Array.from({ length: 17 }, (_, i) => `${i}`)), /more than 16 keys/],
  ['timestamp', (it) => (it.meta['targets.json'] = meta), /it names more than snapshot/],
  ['timestamp', (it) => delete it['x-countersign-issued'], /does not say when it was issued/],
  ['timestamp', (it) => (it['x-countersign-issued'] = '2026-11-01'), /does not say when it was issued/],
  ['timestamp', (it) => delete it.meta['snapshot.json'].length, /gives no length for snapshot\.json/],
  ['timestamp', (it) => delete it.meta['snapshot.json'].hashes, /not exactly a sha256 for snapshot\.json/],
  ['timestamp', (it) => (it.meta['snapshot.json'].hashes = { sha512: '0'.repeat(64) }), /not exactly a sha256/],
  ['timestamp', (it) => (it.meta['snapshot.json'].hashes.sha512 = '0'.repeat(128)), /not exactly a sha256/],
  ['timestamp', (it) => (it.meta['snapshot.json'].hashes.sha256 = 'A'.repeat(64)), /not exactly a sha256/],
  ['snapshot', (it) => (it.meta['other.json'] = meta), /it names other\.json, which is no role of ours/],
  ['snapshot', (it) => (it.meta['component-app.json'] = { version: 1 }), /gives no length for component-app\.json/],
  ['snapshot', (it) => (it.meta = many(1001, (index) => `${letters(index)}.json`, meta)), /names 1001 roles/],
  ['targets', (it) => (it.targets.a = entry), /the top-level role lists targets itself/],
  ['targets', (it) => (it.delegations = { keys: two, succinct_roles: {} }), /it delegates to bins/],
  ['targets', (it) => (it.delegations.roles[0].name = 'other'), /it delegates to other, which is no role of ours/],
  ['targets', (it) => (it.delegations.roles[0].paths = ['components/*/*/*']), /delegates other paths to component-app/],
  ['targets', (it) => it.delegations.roles[0].paths.push('channels/*'), /delegates other paths to component-app/],
  ['targets', (it) => (it.delegations.roles[0].paths = undefined), /delegates other paths to component-app/],
  [
    'targets',
    (it) => (it.delegations.roles[0].terminating = false),
    /its delegation to component-app is not terminating/,
  ],
  ['targets', (it) => (it.delegations.roles[0].threshold = 3), /it has 2 keys, its threshold is 3/],
  [
    'targets',
    (it) => (it.delegations.roles = Array.from({ length: 1001 }, () => it.delegations.roles[0])),
    /delegates to 1001 roles/,
  ],
  ['component-app', (it) => (it.delegations = { keys: {}, roles: [] }), /a delegated role delegates further/],
  ['component-app', (it) => (it.targets = many(501, (index) => `components/app/1.0.0/${index}`, entry)), /501 targets/],
  ['component-app', (it) => (it.targets = { 'components/other/1.0.0/x': entry }), /it lists components\/other/],
  ['component-app', (it) => (it.targets = { 'components/app/1.0.0/.x': entry }), /it lists components\/app/],
  ['component-app', (it) => (it.targets = { 'components/app/1.0.0/x': { hashes: entry.hashes } }), /gives no length/],
];
for (const [name, change, says] of faults)
  test(`refused: ${name}: ${says.source}`, () => {
    const document: Loose = structuredClone(documents[name]());
    change(document);
    assert.throws(() => judge(name, document), { code: 'TUF_PROFILE', message: says });
  });

test('refused: more than 16 signatures, and a role without a row', () => {
  assert.throws(() => judge('root', documents.root(), 17), { code: 'TUF_PROFILE', message: /more than 16 signatures/ });
  assert.throws(() => judge('other', { ...common('targets'), targets: {} }), {
    code: 'TUF_PROFILE',
    message: /it is no role of ours/,
  });
});

test('every role of ours has its own paths', () => {
  for (const name of ['authority', 'revocations', 'channels', 'brake'])
    assert.deepEqual(rolePaths(name), [`${name}/*`]);
  assert.deepEqual(rolePaths('component-remote-support'), ['components/remote-support/*/*']);
  for (const name of [
    'targets',
    'component-',
    'component-A',
    'component-a/b',
    'component-1a',
    `component-${'a'.repeat(64)}`,
    'xauthority',
  ])
    assert.equal(rolePaths(name), undefined, name);
});

test('target paths are plain relative names', () => {
  for (const path of ['a', 'a/b.c', 'a-b/c_d/1.0.0-rc.1']) assert.ok(isTargetPath(path), path);
  for (const path of [
    '',
    '/a',
    'a/',
    'a//b',
    '.',
    'a/../b',
    'a/..',
    'a/b..c',
    '.a',
    'a b',
    'a\\b',
    'ä',
    'a\u0000',
    'a?b',
    'a/'.repeat(150) + 'a',
  ])
    assert.equal(isTargetPath(path), false, path);
});
