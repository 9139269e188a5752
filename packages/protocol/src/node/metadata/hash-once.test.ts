/** The bytes of each metadata file are hashed once, accepted or not, and not at all where nothing changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countHashes, forgetHashes } from '../../../../../test/support/counted-hashes.ts';
import { memoryStore } from '../../../../../test/support/memory-store.ts';
import { RepositorySimulator } from '../../../../../test/support/repository-simulator.ts';
import { lookUp, refresh, type MetadataSession } from './metadata-client.ts';
import type { MetadataSource } from './metadata-source.ts';

function scene(make: (repo: RepositorySimulator) => void = () => {}, profile: 'strict' | 'general' = 'strict') {
  const repo = new RepositorySimulator();
  make(repo);
  // This source does not hash anything itself.
  const source: MetadataSource = {
    fetch: (name, _maximum, { etag } = {}) => {
      const bytes = repo.files.get(name);
      if (!bytes) return Promise.resolve({ kind: 'absent' });
      const tag = `"${repo.timestamp.version}"`;
      return Promise.resolve(etag === tag ? { kind: 'unchanged' } : { kind: 'found', bytes, etag: tag });
    },
  };
  const store = memoryStore();
  const shippedRoot = repo.rootBytes(1);
  const run = (previous?: MetadataSession) => refresh({ source, store, shippedRoot, now: repo.now, profile, previous });
  const count = (...more: string[]) =>
    countHashes(['root', 'timestamp', 'snapshot', 'targets', ...more].map((role) => [role, repo.bytes(role)] as const));
  forgetHashes();
  return { repo, run, count };
}

test('a refresh hashes each file once, a start each file kept, an unchanged poll none', async () => {
  const { run, count } = scene();
  const first = await run();
  assert.deepEqual(count(), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
  const again = await run(first);
  assert.equal(again.changed, false);
  assert.deepEqual(count(), { root: 0, timestamp: 0, snapshot: 0, targets: 0 });
  await run();
  assert.deepEqual(count(), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
});

test('a start that finds news hashes what is new, and what was kept and stays, once', async () => {
  const { repo, run, count } = scene();
  await run();
  repo.publish('snapshot');
  forgetHashes();
  const session = await run();
  assert.equal(session.state.snapshot?.signed.version, 2);
  assert.deepEqual(count(), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
});

test('a role that two others delegate to is hashed once, and both must still delegate to it', async () => {
  const { run, count } = scene((repo) => {
    for (const name of ['a', 'b']) repo.delegate('targets', name, ['x/*'], { terminating: false });
    repo.delegate('a', 'shared', ['x/a'], { terminating: false });
    repo.delegate('b', 'shared', ['x/b'], { terminating: false });
    repo.publish();
  }, 'general');
  const session = await run();
  for (const path of ['x/a', 'x/b']) assert.equal((await lookUp(session, path)).target, null);
  assert.deepEqual([...session.state.targets.get('shared')!.delegators.keys()], ['a', 'b']);
  assert.deepEqual(count('a', 'b', 'shared'), {
    ...{ root: 1, timestamp: 1, snapshot: 1, targets: 1 },
    ...{ a: 1, b: 1, shared: 1 },
  });
});
