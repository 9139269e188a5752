import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepositorySimulator, day, time } from '../../../../test/support/repository-simulator.ts';
import { makeKey, type KeyKind } from '../../../../test/support/tuf-keys.ts';
import { serialize } from './metadata.ts';
import { restoreSnapshot, updateSnapshot } from './snapshot.ts';
import { findTarget, updateTargets } from './targets.ts';
import { isSame, restoreTimestamp, updateTimestamp } from './timestamp.ts';
import { checkRootExpiry, trustRoot, updateRoot, type TrustedState } from './trusted-state.ts';

/** Brings a state up to date with the repository. */
function follow(repo: RepositorySimulator, state = trustRoot(repo.rootBytes(1))): TrustedState {
  while (repo.root.version > state.root.signed.version)
    state = updateRoot(state, repo.rootBytes(state.root.signed.version + 1));
  checkRootExpiry(state, repo.now);
  state = updateTimestamp(state, repo.bytes('timestamp'), repo.now);
  if (!state.snapshot) state = updateSnapshot(state, repo.bytes('snapshot'), repo.now);
  if (!state.targets.has('targets')) state = updateTargets(state, 'targets', 'root', repo.bytes('targets'), repo.now);
  return state;
}

const later = (repo: RepositorySimulator, days: number): Date => new Date(repo.now.getTime() + days * day);
const refused = (code: string, work: () => unknown): void => assert.throws(work, { code });

test('follows a valid repository from the shipped root', () => {
  const repo = new RepositorySimulator();
  repo.addTarget('targets', 'a.txt', 'content');
  repo.publish('targets');
  const state = follow(repo);
  const found = findTarget(state, 'a.txt');
  assert.equal(found.kind === 'found' && found.target.length, 7);
  assert.deepEqual(
    [...state.floors],
    [
      ['timestamp', 2],
      ['snapshot', 2],
      ['targets', 2],
    ],
  );
  assert.deepEqual(state.root.signers, [repo.signers.get('root')![0]!.keyid]);
});

for (const kind of [
  'ed25519',
  'ed25519-pem',
  'ecdsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-hex',
  'ecdsa-p384',
  'rsa',
  'rsa-sha512',
] as KeyKind[]) {
  test(`takes ${kind} signatures, and refuses the same bytes with one bit changed`, () => {
    const key = makeKey(kind);
    const repo = new RepositorySimulator({ keys: { root: [key], timestamp: [key], snapshot: [key], targets: [key] } });
    follow(repo);
    const changed = Buffer.from(repo.rootBytes(1).toString('latin1').replace('"version":1', '"version":3'), 'latin1');
    refused('TUF_SIGNATURE', () => trustRoot(changed));
  });
}

test('bytes stay exactly as they were received, whatever their layout', () => {
  const repo = new RepositorySimulator();
  const parsed = JSON.parse(repo.rootBytes(1).toString()) as object;
  const spaced = Buffer.from(`${JSON.stringify(parsed, null, 2)}\n`);
  const state = trustRoot(spaced);
  assert.equal(Buffer.compare(state.root.bytes, spaced), 0);
});

test('root: a threshold of different keys, in the old root and in the new one (§5.3.4)', () => {
  const [a, b, c] = [makeKey(), makeKey(), makeKey()];
  const repo = new RepositorySimulator({ keys: { root: [a, b] } });
  repo.root.roles.root!.threshold = 2;
  repo.publish('root');
  const state = updateRoot(trustRoot(repo.rootBytes(1)), repo.rootBytes(2));
  repo.rotateKeys('root', b, c);
  repo.root.version++;
  refused('TUF_SIGNATURE', () => updateRoot(state, repo.sign('root', repo.root, [b, c])));
  refused('TUF_SIGNATURE', () => updateRoot(state, repo.sign('root', repo.root, [a, b])));
  assert.equal(updateRoot(state, repo.sign('root', repo.root, [a, b, c])).root.signed.version, 3);
});

test('root: only the next version, never the same or a later one (§5.3.5)', () => {
  const repo = new RepositorySimulator();
  const state = trustRoot(repo.rootBytes(1));
  repo.publish('root');
  repo.publish('root');
  refused('TUF_VERSION', () => updateRoot(state, repo.rootBytes(1)));
  refused('TUF_VERSION', () => updateRoot(state, repo.rootBytes(3)));
  updateRoot(updateRoot(state, repo.rootBytes(2)), repo.rootBytes(3));
});

test('root: the shipped one must be signed by itself, and may be expired until the walk ends (§5.3.10)', () => {
  const repo = new RepositorySimulator();
  refused('TUF_SIGNATURE', () => trustRoot(repo.sign('root', repo.root, [makeKey()])));
  const state = trustRoot(repo.rootBytes(1));
  refused('TUF_EXPIRED', () => checkRootExpiry(state, later(repo, 365)));
  refused('TUF_EXPIRED', () => updateTimestamp(state, repo.bytes('timestamp'), later(repo, 365)));
  checkRootExpiry(state, new Date(later(repo, 365).getTime() - 1));
});

test('a key under two key ids counts once', () => {
  const key = makeKey();
  const repo = new RepositorySimulator({ keys: { timestamp: [key] } });
  repo.root.keys.alias = { ...key.public, alias: true };
  repo.root.roles.timestamp = { keyids: [key.keyid, 'alias'], threshold: 2 };
  repo.signers.set('timestamp', [key, { ...key, keyid: 'alias' }]);
  repo.publish('root');
  repo.publish('timestamp');
  const state = updateRoot(trustRoot(repo.rootBytes(1)), repo.rootBytes(2));
  refused('TUF_SIGNATURE', () => updateTimestamp(state, repo.bytes('timestamp'), repo.now));
  repo.root.roles.timestamp.threshold = 1;
  repo.publish('root');
  follow(repo, state);
});

test('key ids are taken as given', () => {
  const key = { ...makeKey(), keyid: 'the key of the timestamp' };
  follow(new RepositorySimulator({ keys: { timestamp: [key] } }));
});

test('a bad signature beside a good one does no harm, and only the good one counts', () => {
  const [a, b] = [makeKey(), makeKey()];
  const repo = new RepositorySimulator({ keys: { timestamp: [a, b] } });
  repo.signers.set('timestamp', [a, { ...makeKey(), keyid: b.keyid }]);
  repo.publish('timestamp');
  assert.deepEqual(follow(repo).timestamp!.signers, [a.keyid]);
  repo.root.roles.timestamp!.threshold = 2;
  repo.publish('root');
  refused('TUF_SIGNATURE', () => follow(repo));
});

test('timestamp: an older one is refused, an equal one leaves the state as it is (§5.4.3.1)', () => {
  const repo = new RepositorySimulator();
  const old = repo.bytes('timestamp');
  repo.publish('timestamp');
  const state = follow(repo);
  refused('TUF_ROLLBACK', () => updateTimestamp(state, old, repo.now));
  repo.timestamp.version--;
  repo.timestamp.extra = 'changed';
  repo.publish('timestamp');
  assert.equal(updateTimestamp(state, repo.bytes('timestamp'), repo.now), state);
  refused('TUF_EXPIRED', () => updateTimestamp(state, repo.bytes('timestamp'), later(repo, 1)));
});

test('timestamp: one that names an older snapshot is refused (§5.4.3.2)', () => {
  const repo = new RepositorySimulator();
  repo.publish('targets');
  const state = follow(repo);
  repo.snapshot.version = 0;
  repo.publishSnapshot();
  repo.publishTimestamp();
  refused('TUF_ROLLBACK', () => updateTimestamp(state, repo.bytes('timestamp'), repo.now));
});

test('timestamp: the wrong signer, an expired one, another role’s file (§5.4.2, §5.4.4)', () => {
  const repo = new RepositorySimulator();
  const state = trustRoot(repo.rootBytes(1));
  refused('TUF_SIGNATURE', () => updateTimestamp(state, repo.sign('timestamp', repo.timestamp, [makeKey()]), repo.now));
  refused('TUF_EXPIRED', () => updateTimestamp(state, repo.bytes('timestamp'), later(repo, 1)));
  const snapshot = { ...repo.snapshot, meta: { 'snapshot.json': { version: 1 } } };
  refused('TUF_FORMAT', () => updateTimestamp(state, repo.sign('timestamp', snapshot), repo.now));
});

test('a timestamp of an earlier run counts against rollback though it is expired', () => {
  const repo = new RepositorySimulator();
  repo.publish('timestamp');
  const stored = restoreTimestamp(trustRoot(repo.rootBytes(1)), repo.bytes('timestamp'));
  repo.timestamp.version = 0;
  repo.timestamp.expires = time(later(repo, 30));
  repo.publish('timestamp');
  refused('TUF_ROLLBACK', () => updateTimestamp(stored, repo.bytes('timestamp'), later(repo, 3)));
});

test('snapshot: length and digest are checked before anything is read (§5.5.2)', () => {
  const repo = new RepositorySimulator();
  const state = updateTimestamp(trustRoot(repo.rootBytes(1)), repo.bytes('timestamp'), repo.now);
  const bytes = Buffer.from(repo.bytes('snapshot'));
  bytes[bytes.length - 1] = 0x20;
  refused('TUF_HASH', () => updateSnapshot(state, bytes, repo.now));
  refused('TUF_HASH', () => updateSnapshot(state, Buffer.concat([bytes, Buffer.from(' ')]), repo.now));
  const unknown = { ...repo.timestamp, version: 2, meta: { 'snapshot.json': { version: 1, hashes: { md5: 'x' } } } };
  const other = updateTimestamp(state, repo.sign('timestamp', unknown), repo.now);
  refused('TUF_HASH', () => updateSnapshot(other, repo.bytes('snapshot'), repo.now));
});

test('snapshot: signer, version and expiry (§5.5.3, §5.5.4, §5.5.6)', () => {
  const repo = new RepositorySimulator({ meta: 'version' });
  const state = updateTimestamp(trustRoot(repo.rootBytes(1)), repo.bytes('timestamp'), repo.now);
  refused('TUF_SIGNATURE', () => updateSnapshot(state, repo.sign('snapshot', repo.snapshot, [makeKey()]), repo.now));
  refused('TUF_VERSION', () =>
    updateSnapshot(state, repo.sign('snapshot', { ...repo.snapshot, version: 2 }), repo.now),
  );
  const expired = { ...repo.snapshot, expires: time(repo.now) };
  refused('TUF_EXPIRED', () => updateSnapshot(state, repo.sign('snapshot', expired), repo.now));
  refused('TUF_EXPIRED', () => updateSnapshot(state, repo.bytes('snapshot'), later(repo, 1)));
  refused('TUF_MISSING', () => updateSnapshot(trustRoot(repo.rootBytes(1)), repo.bytes('snapshot'), repo.now));
  updateSnapshot(state, repo.bytes('snapshot'), repo.now);
});

test('snapshot: no role goes back and none vanishes (§5.5.5)', () => {
  const repo = new RepositorySimulator();
  repo.delegate('targets', 'role', ['x/*']);
  repo.publish('role', 'targets');
  repo.publish('role');
  const state = follow(repo);
  const newer = (meta: object): TrustedState => {
    repo.snapshot.meta = { ...repo.snapshot.meta, ...meta };
    repo.publish('snapshot');
    return updateSnapshot(updateTimestamp(state, repo.bytes('timestamp'), repo.now), repo.bytes('snapshot'), repo.now);
  };
  refused('TUF_ROLLBACK', () => newer({ 'role.json': { version: 1 } }));
  delete repo.snapshot.meta['role.json'];
  refused('TUF_ROLLBACK', () => newer({}));
  newer({ 'role.json': { version: 3 }, 'root.json': { version: 1 } });
});

test('floors come back from the snapshot of an earlier run', () => {
  const repo = new RepositorySimulator();
  repo.publish('targets');
  const state = restoreSnapshot(trustRoot(repo.rootBytes(1)), repo.bytes('snapshot'));
  assert.deepEqual(
    [...state.floors],
    [
      ['snapshot', 2],
      ['targets', 2],
    ],
  );
  refused('TUF_SIGNATURE', () => restoreSnapshot(state, repo.sign('snapshot', repo.snapshot, [makeKey()])));
});

test('fast-forward recovery: floors fall with a rotated timestamp or snapshot key, and only then (§5.3.11)', () => {
  for (const role of ['timestamp', 'snapshot']) {
    const repo = new RepositorySimulator();
    repo.timestamp.version = 90;
    repo.publish('timestamp');
    const state = follow(repo);
    repo.addKey(role, makeKey());
    repo.publish('root');
    assert.equal(updateRoot(state, repo.rootBytes(2)).floors.get('timestamp'), 91, 'adding a key rotates nothing');
    repo.rotateKeys(role);
    repo.timestamp.version = 0;
    repo.publish('root', 'targets');
    assert.equal(follow(repo, state).timestamp!.signed.version, 1);
  }
  const repo = new RepositorySimulator();
  const state = follow(repo);
  repo.rotateKeys('targets');
  repo.publish('root');
  assert.equal(updateRoot(state, repo.rootBytes(2)).floors, state.floors);
});

test('targets: hash, signer, version, expiry, and being named at all (§5.6.1–§5.6.5)', () => {
  const repo = new RepositorySimulator({ meta: 'version' });
  repo.delegate('targets', 'role', ['x/*']);
  repo.publish();
  let state = follow(repo);
  const offer = (document: object, signers = repo.signers.get('role')!) =>
    updateTargets(state, 'role', 'targets', repo.sign('role', document, signers), repo.now);
  const role = repo.targets('role');
  refused('TUF_SIGNATURE', () => offer(role, [makeKey()]));
  refused('TUF_VERSION', () => offer({ ...role, version: 2 }));
  refused('TUF_EXPIRED', () => offer({ ...role, expires: time(repo.now) }));
  refused('TUF_EXPIRED', () => updateTargets(state, 'role', 'targets', repo.bytes('role'), later(repo, 7)));
  refused('TUF_MISSING', () => updateTargets(state, 'other', 'targets', repo.bytes('role'), repo.now));
  refused('TUF_MISSING', () =>
    updateTargets(trustRoot(repo.rootBytes(2)), 'role', 'targets', repo.bytes('role'), repo.now),
  );
  refused('TUF_DELEGATION', () => updateTargets(state, 'role', 'root', repo.bytes('role'), repo.now));
  offer(role);
  repo.meta = 'full';
  repo.publish('targets', 'role');
  state = follow(repo, state);
  const changed = Buffer.from(repo.bytes('role'));
  changed[0] = 0x20;
  refused('TUF_HASH', () => updateTargets(state, 'role', 'targets', changed, repo.now));
  // Nor after the role is trusted: its digest does not vouch for other bytes.
  state = updateTargets(state, 'role', 'targets', repo.bytes('role'), repo.now);
  refused('TUF_HASH', () => updateTargets(state, 'role', 'targets', changed, repo.now));
});

test('roles that a newer snapshot names unchanged stay trusted, others are asked for again', () => {
  const repo = new RepositorySimulator();
  repo.delegate('targets', 'a', ['a/*']);
  repo.delegate('targets', 'b', ['b/*']);
  repo.publish();
  let state = follow(repo);
  for (const role of ['a', 'b']) state = updateTargets(state, role, 'targets', repo.bytes(role), repo.now);
  repo.publish('a');
  state = follow(repo, state);
  assert.deepEqual([...state.targets.keys()], ['targets', 'b']);
  assert.deepEqual(findTarget(state, 'a/x'), { kind: 'needs', role: 'a', delegator: 'targets' });
  repo.publish('targets');
  state = follow(repo, state);
  assert.deepEqual([...state.targets.keys()], ['targets'], 'a new delegator has to vouch for its roles anew');
});

test('after a new root everything below it is verified again', () => {
  const repo = new RepositorySimulator();
  const state = follow(repo);
  repo.publish('root');
  const next = updateRoot(state, repo.rootBytes(2));
  assert.deepEqual([next.timestamp, next.snapshot, next.targets.size], [undefined, undefined, 0]);
  assert.equal(next.floors, state.floors);
});

test('a role that one delegator vouched for must be verified for another one too', () => {
  const repo = new RepositorySimulator();
  const [keyA, keyB] = [makeKey(), makeKey()];
  for (const parent of ['a', 'b']) repo.delegate('targets', parent, [`${parent}/*`]);
  repo.delegate('a', 'shared', ['a/*'], { keys: [keyA] });
  repo.delegate('b', 'shared', ['b/*'], { keys: [keyB] });
  repo.signers.set('shared', [keyA]);
  repo.addTarget('shared', 'a/x', 'good');
  repo.addTarget('shared', 'b/x', 'bad');
  repo.publish();
  let state = follow(repo);
  for (const parent of ['a', 'b']) state = updateTargets(state, parent, 'targets', repo.bytes(parent), repo.now);
  state = updateTargets(state, 'shared', 'a', repo.bytes('shared'), repo.now);
  assert.equal(findTarget(state, 'a/x').kind, 'found');
  assert.deepEqual(findTarget(state, 'b/x'), { kind: 'needs', role: 'shared', delegator: 'b' });
  refused('TUF_SIGNATURE', () => updateTargets(state, 'shared', 'b', repo.bytes('shared'), repo.now));
});

test('a target named like a property of every object is a target like any other', () => {
  const repo = new RepositorySimulator();
  repo.delegate('targets', 'constructor', ['x/*']);
  repo.publish();
  const state = follow(repo);
  for (const path of ['constructor', '__proto__', 'toString', 'hasOwnProperty'])
    assert.equal(findTarget(state, path).kind, 'absent');
  refused('TUF_MISSING', () => updateTargets(state, '__proto__', 'targets', repo.bytes('targets'), repo.now));
  const named = JSON.parse('{"__proto__":{"length":1,"hashes":{"sha256":"00"}}}') as object;
  const bytes = repo.sign('targets', { ...repo.targets(), targets: named, version: 2 });
  repo.snapshot.meta['targets.json'] = { version: 2 };
  repo.publish('snapshot');
  const next = updateSnapshot(
    updateTimestamp(state, repo.bytes('timestamp'), repo.now),
    repo.bytes('snapshot'),
    repo.now,
  );
  const found = findTarget(updateTargets(next, 'targets', 'root', bytes, repo.now), '__proto__');
  assert.equal(found.kind === 'found' && found.target.length, 1);
});

test('unknown fields are signed and kept', () => {
  const repo = new RepositorySimulator();
  repo.root.unknown = { nested: [1, 'two', null, true] };
  repo.root.roles.root!.more = 'x';
  repo.publish('root');
  const state = follow(repo);
  assert.deepEqual((state.root.signed as unknown as Record<string, unknown>).unknown, {
    nested: [1, 'two', null, true],
  });
  const stripped = JSON.parse(repo.rootBytes(2).toString()) as { signed: Record<string, unknown>; signatures: [] };
  delete stripped.signed.unknown;
  refused('TUF_SIGNATURE', () => trustRoot(serialize(stripped.signed, stripped.signatures)));
});

test('a search ends aloud after as many delegated roles as it may visit, and cycles end by themselves', () => {
  const repo = new RepositorySimulator();
  const names = ['a', 'b', 'c'];
  for (const [index, name] of names.entries()) repo.delegate(names[index - 1] ?? 'targets', name, ['*']);
  const key = repo.signers.get('a')!;
  repo.delegate('c', 'a', ['*'], { keys: key });
  repo.publish();
  let state = follow(repo);
  for (const [index, name] of names.entries())
    state = updateTargets(state, name, names[index - 1] ?? 'targets', repo.bytes(name), repo.now);
  assert.equal(findTarget(state, 'x', { maximumDelegations: 3 }).kind, 'absent');
  refused('TUF_LIMIT', () => findTarget(state, 'x', { maximumDelegations: 2 }));
});

test('a role stays the one that newer metadata names only where everything that is said of it fits', () => {
  const role = { signed: { version: 2 }, sha256: 'a', bytes: Buffer.alloc(3) };
  for (const meta of [{ version: 2 }, { version: 2, length: 3 }, { version: 2, hashes: { sha256: 'a', sha512: 'b' } }])
    assert.equal(isSame(role, meta), true, JSON.stringify(meta));
  for (const meta of [
    { version: 3 },
    { version: 2, length: 4 },
    { version: 2, hashes: { sha256: 'b' } },
    { version: 2, hashes: { sha512: 'a' } },
  ])
    assert.equal(isSame(role, meta), false, JSON.stringify(meta));
});
