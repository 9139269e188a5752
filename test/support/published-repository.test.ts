import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkProfile, trustRoot, updateSnapshot, updateTargets, updateTimestamp } from '@countersign/protocol';
import { PublishedRepository, serveRepository } from './published-repository.ts';

test('what it publishes is what the core and the profile accept, version after version', async (t) => {
  const repository = new PublishedRepository();
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.0.0' }));
  repository.publish();
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.1.0' }));
  repository.publish();
  const server = await serveRepository(t, repository);
  const get = async (name: string): Promise<Buffer> =>
    Buffer.from(await (await fetch(`${server.url}metadata/${name}`)).arrayBuffer());
  const now = new Date('2026-11-23T12:00:00Z');
  let state = updateTimestamp(trustRoot(repository.shipped.root), await get('timestamp.json'), now);
  assert.equal(state.timestamp!.signed.version, 2);
  state = updateSnapshot(state, await get('2.snapshot.json'), now);
  for (const role of ['targets', 'authority', 'revocations', 'channels', 'component-diagnostics']) {
    const { version } = state.snapshot!.signed.meta[`${role}.json`]!;
    assert.equal(version, role === 'channels' || role.startsWith('component-') ? 2 : 1, role);
    state = updateTargets(
      state,
      role,
      role === 'targets' ? 'root' : 'targets',
      await get(`${version}.${role}.json`),
      now,
    );
    const { signed, bytes } = state.targets.get(role)!;
    checkProfile(role, signed, bytes);
  }
  assert.equal(server.requests.length, 7);
});
