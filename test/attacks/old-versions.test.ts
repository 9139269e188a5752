/** Row 10: an old version offered again, and going back by hand to one that was revoked. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { withLock } from '../../packages/client/src/device/device.ts';
import { checkRollback } from '../../packages/client/src/installing/rollback-check.ts';
import { rollback, rollbackTarget } from '../../packages/client/src/installing/rollback.ts';
import { attackScene, type AttackScene } from '../support/attack-scene.ts';
import { pretendInstalled } from '../support/pretended-install.ts';
import { emptyTable } from '../support/tampering.ts';

/** diagnostics 1.0.0, then 1.1.0 installed. */
async function installed(t: TestContext): Promise<AttackScene> {
  const scene = await attackScene(t);
  const newest = scene.repository.channel.offers;
  scene.repository.channel.offers = newest.slice(0, 1);
  scene.repository.publish();
  pretendInstalled(scene.device, (await scene.check()).plan!);
  scene.repository.channel.offers = newest;
  scene.repository.publish();
  pretendInstalled(scene.device, (await scene.check()).plan!);
  assert.equal((await scene.check()).plan, null);
  return scene;
}
const offerOnly = (scene: AttackScene, version: string, downgrade?: true): void => {
  const { repository } = scene;
  repository.channel.offers = repository.channel.offers
    .filter((offer) => offer.version === version)
    .map((offer) => ({ ...offer, ...(downgrade ? { downgrade } : {}) }));
  repository.publish();
};

test('an old version that is offered again is not planned', async (t) => {
  const scene = await installed(t);
  offerOnly(scene, '1.0.0');
  const { plan } = await scene.check();
  assert.equal(plan, null);
});

test('a downgrade is planned only when the channel says so, and is called one', async (t) => {
  const scene = await installed(t);
  offerOnly(scene, '1.0.0', true);
  const { plan } = await scene.check();
  assert.equal(plan!.plan.steps[0]!.action, 'downgrade');
});

test('below the minimum no downgrade helps', async (t) => {
  const scene = await installed(t);
  scene.repository.revocations.minimum = { diagnostics: '1.1.0' };
  offerOnly(scene, '1.0.0', true);
  await scene.refusedRelease('diagnostics', 'RELEASE_BELOW_MINIMUM');
});

test('going back by hand is refused to what is revoked, below the minimum, or signed by a stolen key', async (t) => {
  const scene = await installed(t);
  const { repository, device } = scene;
  const goBack = () => withLock(device, () => rollback(device, { check: (target) => checkRollback(device, target) }));
  const { release } = rollbackTarget(device)!.components[0]!;
  const honest = structuredClone(repository.revocations);
  const spki = repository.spkiOf(repository.codeSigners.build);
  for (const [code, change] of [
    ['RELEASE_REVOKED', { releases: [{ release, reason: 'leaks' }] }],
    ['RELEASE_BELOW_MINIMUM', { minimum: { diagnostics: '1.0.1' } }],
    ['CODESIGN_THRESHOLD', { keys: [{ spki, reason: 'stolen' }] }],
  ] as const) {
    repository.revocations = { ...honest, ...structuredClone(change) } as typeof honest;
    repository.publish();
    await assert.rejects(goBack(), { code });
    // Without a network, what was accepted last still counts.
    scene.server.intercept = (_, response) => Boolean(response.writeHead(503).end());
    await assert.rejects(goBack(), { code });
    scene.server.intercept = () => false;
  }
  repository.revocations = honest;
  repository.publish();
  await withLock(device, () => checkRollback(device, rollbackTarget(device)!));
});

test('going back by hand is refused where a needed capability is denied by now, or nothing proves the release', async (t) => {
  const scene = await attackScene(t);
  const { repository, device } = scene;
  repository.offer(
    repository.addRelease({ name: 'diagnostics', version: '1.2.0', capabilities: [{ id: 'core', required: true }] }),
  );
  repository.publish();
  pretendInstalled(device, (await scene.check()).plan!, ['core']);
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.3.0' }));
  repository.publish();
  pretendInstalled(device, (await scene.check()).plan!);
  const target = rollbackTarget(device)!;
  const check = () => withLock(device, () => checkRollback(device, target));
  await check();
  repository.devices.denied = [{ component: 'diagnostics', capability: 'core' }];
  repository.extendChain('devices');
  repository.publish();
  await assert.rejects(check(), { code: 'ROLLBACK_DENIED' });
  emptyTable(device, 'release');
  await assert.rejects(check(), { code: 'TRUST_DOCUMENT' });
});

test('without a server going back by hand is judged by what was accepted last, and without that it is refused', async (t) => {
  const scene = await installed(t);
  const { device, repository } = scene;
  const { release } = rollbackTarget(device)!.components[0]!;
  const check = () => withLock(device, () => checkRollback(device, rollbackTarget(device)!));
  scene.server.intercept = (_request, response) => Boolean(response.writeHead(503).end());
  await check();
  scene.server.intercept = () => false;
  repository.revocations.releases = [{ release, reason: 'leaks' }];
  repository.publish();
  await scene.check();
  scene.server.intercept = (_request, response) => Boolean(response.writeHead(503).end());
  await assert.rejects(check(), { code: 'RELEASE_REVOKED' });
  emptyTable(device, 'document');
  await assert.rejects(check(), { code: 'SOURCE_STATUS' });
});
