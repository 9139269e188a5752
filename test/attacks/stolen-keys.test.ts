/** Rows 2 to 5: the server with its online keys, a role's keys, targets or root keys, and a code-signing key are stolen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attackScene } from '../support/attack-scene.ts';
import { PublishedRepository } from '../support/published-repository.ts';
import { ed25519Key, p256Key } from '../support/signing-keys.ts';

test('row 2: with the online keys nothing that others signed can be altered', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const honest = scene.save();
  for (const role of ['channels', 'revocations', 'authority', 'component-diagnostics', 'targets']) {
    repository.signers.set(role, [ed25519Key(), ed25519Key()]);
    repository.renew(role).publish();
    if (role.startsWith('component-')) await scene.refusedRelease('diagnostics', 'TUF_SIGNATURE');
    else await scene.refused('TUF_SIGNATURE');
    repository.signers.clear();
    honest();
    for (const name of repository.versions.keys()) repository.renew(name);
    repository.publish();
    await scene.check();
    assert.equal(scene.offered('diagnostics'), '1.1.0', role);
  }
});

test('row 2: a role that the thief leaves out of the snapshot is missed', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  repository.bends.set('snapshot', (signed) => delete (signed.meta as Record<string, unknown>)['revocations.json']);
  repository.renew('snapshot').publish();
  await scene.refused('TUF_ROLLBACK');
  repository.bends.clear();
  repository.renew('snapshot').publish();
  await scene.check();
});

test('row 2: the thief can withhold news only until the offline roles expire', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const renewOnline = (time: string): void => {
    scene.device.setTime(time);
    repository.setTime(time).renew('snapshot').renew('timestamp').publish();
  };
  renewOnline('2026-12-22T00:00:00Z');
  await scene.check();
  renewOnline('2026-12-24T00:00:00Z');
  await scene.refused('TUF_EXPIRED');
  repository.renew('revocations');
  renewOnline('2026-12-24T01:00:00Z');
  await scene.check();
  repository.renew('revocations');
  renewOnline('2027-02-22T00:00:00Z');
  await scene.refused('TUF_EXPIRED');
});

test('row 3: a role below its threshold counts for nothing', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  for (const role of ['channels', 'authority']) {
    repository.signers.set(role, repository.keys.get(role)!.slice(1));
    repository.renew(role).publish();
    await scene.refused('TUF_SIGNATURE');
    repository.signers.clear();
    repository.renew(role).publish();
    await scene.check();
  }
});

test('row 3: one key twice, or under two key ids, is one key', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const [key] = repository.keys.get('channels')!;
  repository.signers.set('channels', [key!, key!]);
  repository.renew('channels').publish();
  await assert.rejects(scene.check());
  repository.signers.clear();
  repository.renew('channels').publish();
  await scene.check();
});

test('row 3: a component role’s keys alone install nothing: code signature and second person are missing', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const honest = repository.channel.offers;
  const thief = p256Key();
  const forged = repository.addRelease({ name: 'diagnostics', version: '6.6.6' }, [thief]);
  repository.channel.offers = [];
  repository.offer(forged);
  repository.publish();
  await scene.refusedRelease('diagnostics', 'CODESIGN_THRESHOLD');
  repository.channel.offers = honest;
  repository.publish();
  await scene.check();
  assert.equal(scene.offered('diagnostics'), '1.1.0');
});

test('row 3: a role reaches its own paths only', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  repository.bends.set('component-diagnostics', (signed) => {
    const targets = signed.targets as Record<string, unknown>;
    targets['channels/stable.json'] = Object.values(targets)[0];
  });
  repository.renew('component-diagnostics').publish();
  await scene.refusedRelease('diagnostics', 'TUF_PROFILE');
  repository.bends.clear();
  repository.renew('component-diagnostics').publish();
  await scene.check();
  assert.equal(scene.offered('diagnostics'), '1.1.0');
});

/** A thief with the targets keys gives every role to the thief's own keys. */
function takeOver(repository: PublishedRepository, roles: readonly string[]): () => void {
  const owned = new Map(roles.map((role) => [role, repository.keys.get(role)!]));
  for (const role of roles) repository.keys.set(role, [ed25519Key(), ed25519Key()]);
  for (const role of roles) repository.renew(role);
  return () => {
    for (const [role, keys] of owned) repository.keys.set(role, keys);
    for (const role of roles) repository.renew(role);
  };
}

test('row 4: with the targets keys another authority chain is refused', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const giveBack = takeOver(repository, ['authority']);
  const { codesign } = repository.chains;
  const other = new PublishedRepository();
  const forgeries: Record<string, string> = {
    AUTHORITY_FORK: other.chains.codesign,
    AUTHORITY_CHAIN: `${codesign}${other.chains.codesign}`,
    AUTHORITY_ROLLBACK: codesign,
  };
  repository.extendChain('codesign');
  repository.publish();
  await scene.check();
  const longer = repository.chains.codesign;
  for (const [code, forged] of Object.entries(forgeries)) {
    repository.chains.codesign = code === 'AUTHORITY_CHAIN' ? `${longer}${other.chains.codesign}` : forged;
    repository.publish();
    await scene.refused(code);
  }
  repository.chains.codesign = longer;
  giveBack();
  repository.publish();
  await scene.check();
});

test('row 4: a version of the chain that its own keys did not sign is refused', async (t) => {
  for (const kind of ['codesign', 'devices'] as const) {
    const scene = await attackScene(t);
    const { repository } = scene;
    const honest = repository.chains[kind];
    for (const signers of [[ed25519Key(), ed25519Key()], repository.chainKeys[kind].slice(1)]) {
      repository.extendChain(kind, signers);
      repository.publish();
      await scene.refused('AUTHORITY_CHAIN');
      repository.chains[kind] = honest;
      repository[kind].version--;
      repository.publish();
      await scene.check();
    }
  }
});

test('row 4: with root and targets keys a genuine code signature is not enough: nobody known stands on the other side', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const giveBack = takeOver(repository, ['component-diagnostics', 'revocations', 'channels']);
  repository.publish();
  await scene.refusedRelease('diagnostics', 'CODESIGN_ONE_PERSON');
  giveBack();
  repository.publish();
  await scene.check();
  assert.equal(scene.offered('diagnostics'), '1.1.0');
});

test('row 5: one person’s keys on both sides are one person', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const both = repository.keys.get('component-diagnostics')!;
  repository.keys.set('component-diagnostics', both.slice(0, 1));
  repository.renew('component-diagnostics').publish();
  await scene.refusedRelease('diagnostics', 'CODESIGN_ONE_PERSON');
  repository.keys.set('component-diagnostics', both);
  repository.renew('component-diagnostics').publish();
  await scene.check();
  assert.equal(scene.offered('diagnostics'), '1.1.0');
});

test('row 5: a revoked code-signing key signs nothing more', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  repository.revocations.keys = [{ spki: repository.spkiOf(repository.codeSigners.build), reason: 'stolen' }];
  repository.publish();
  await assert.doesNotReject(scene.check());
  assert.equal(scene.offered('diagnostics'), null);
  repository.channel.offers = [];
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.1.1' }, [repository.codeSigners.release]));
  repository.publish();
  await scene.check();
  assert.equal(scene.offered('diagnostics'), '1.1.1');
});
