/** The bytes of each metadata file are hashed once, whatever becomes of them, and not at all where nothing changed. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { after, test } from 'node:test';
import { memoryStore } from '../../../../../test/support/memory-store.ts';
import { RepositorySimulator } from '../../../../../test/support/repository-simulator.ts';
import type { MetadataSource } from './metadata-source.ts';

/** Everything that is hashed from now on, by its text. */
const hashed: string[] = [];
const original = crypto.createHash;
crypto.createHash = ((algorithm: string) => {
  const hash = original(algorithm);
  const update = hash.update.bind(hash);
  hash.update = (data: string | NodeJS.ArrayBufferView) => {
    hashed.push(
      typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString(),
    );
    return update(data as string);
  };
  return hash;
}) as typeof crypto.createHash;
syncBuiltinESMExports();
after(() => {
  crypto.createHash = original;
  syncBuiltinESMExports();
});
const { refresh } = await import('./metadata-client.ts');

test('a refresh hashes each file once, a start one for each file kept, an unchanged poll none', async () => {
  const repo = new RepositorySimulator();
  // It serves without hashing anything itself.
  const source: MetadataSource = {
    fetch: (name, _maximum, { etag } = {}) => {
      const bytes = repo.files.get(name);
      if (!bytes) return Promise.resolve({ kind: 'absent' });
      return Promise.resolve(etag === '"1"' ? { kind: 'unchanged' } : { kind: 'found', bytes, etag: '"1"' });
    },
  };
  const store = memoryStore();
  const shippedRoot = repo.rootBytes(1);
  const run = (previous?: Awaited<ReturnType<typeof refresh>>) =>
    refresh({ source, store, shippedRoot, now: repo.now, profile: 'strict', previous });
  const files = new Map(
    (['timestamp', 'snapshot', 'targets'] as const).map((role) => [role, repo.bytes(role).toString()]),
  );
  const count = (): Record<string, number> => {
    const all = [['root', shippedRoot.toString()], ...files] as [string, string][];
    const counted = all.map(([role, text]) => [role, hashed.filter((one) => one === text).length]);
    hashed.length = 0;
    return Object.fromEntries(counted) as Record<string, number>;
  };
  hashed.length = 0;
  const first = await run();
  assert.deepEqual(count(), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
  const again = await run(first);
  assert.equal(again.changed, false);
  assert.deepEqual(count(), { root: 0, timestamp: 0, snapshot: 0, targets: 0 });
  // Read back at the start of a process: the shipped root, the root on record and each role.
  await run();
  assert.deepEqual(count(), { root: 2, timestamp: 1, snapshot: 1, targets: 1 });
});
