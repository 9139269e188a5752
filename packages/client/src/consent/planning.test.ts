import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Plan } from '@countersign/protocol';
import { PublishedRepository, type RepositoryOptions } from '../../../../test/support/published-repository.ts';
import { repositoryDevice } from '../../../../test/support/repository-device.ts';
import { emptyTable, putRow } from '../../../../test/support/tampering.ts';
import { openAlerts } from '../device/alerts.ts';
import { appendAudit, verifyAudit } from '../device/audit.ts';
import { withLock } from '../device/device.ts';
import type { PlanRequests } from '../device/settings.ts';
import { openPlan, readPlan, setPlanState } from '../generations/plans.ts';
import { currentOffers } from '../trust/current-offers.ts';
import { lastDocuments, type TrustView } from '../trust/refresh.ts';
import { listRefusals } from '../trust/refusals.ts';
import { computeDevicePlan, recheckPlan, type DevicePlan } from './planning.ts';

const transfer = { id: 'file-transfer', risk: 'phi' as const, scope: { area: ['logs'] } };

async function setUp(
  t: TestContext,
  options: RepositoryOptions = {},
  settings: Record<string, unknown> = {},
  prepare: (repository: PublishedRepository) => void = (repository) => {
    repository.offer(repository.addRelease({ name: 'remote-support', version: '2.0.0', capabilities: [transfer] }));
  },
) {
  const repository = new PublishedRepository(options);
  prepare(repository);
  repository.publish();
  const { device, poll, server } = await repositoryDevice(t, repository, settings);
  const plan = async (asked?: PlanRequests): Promise<DevicePlan | null> => {
    const view = await poll();
    return withLock(device, () => computeDevicePlan(device, view, asked));
  };
  const offers = async (view: TrustView) => withLock(device, () => currentOffers(device, view, view));
  return { repository, device, poll, plan, offers, server };
}
type Setup = Awaited<ReturnType<typeof setUp>>;

const refusals = ({ device }: Setup) =>
  listRefusals(device)
    .map(({ component, version, code }) => `${component} ${version} ${code}`)
    .sort();
const offered = (result: DevicePlan | null): string[] =>
  (result?.plan.steps ?? []).map(({ component, to }) => `${component} ${to?.version ?? 'gone'}`);

/** Marks the plan approved at a time, as an approval does. */
function approve({ device }: Setup, digest: string, at: string): void {
  const { sequence } = appendAudit(device, 'approval', { plan: digest });
  putRow(device, 'approval', { plan: digest, sequence, envelope: Buffer.from('{}'), at });
  setPlanState(device, digest, 'approved');
}

test('an offer becomes the open plan, and stays the same plan through renewals', async (t) => {
  const all = await setUp(t);
  const first = await all.plan();
  assert.deepEqual(offered(first), ['remote-support 2.0.0']);
  assert.equal(first!.plan.steps[0]!.decisions[0]!.change, 'new');
  assert.equal(openPlan(all.device)?.digest, first!.digest);
  all.repository.setTime('2026-11-23T11:00:00Z').renew('timestamp').renew('snapshot').renew('channels').publish();
  const second = await all.plan();
  assert.equal(second!.digest, first!.digest);
  assert.equal(readPlan(all.device, first!.digest).state, 'offered');
  verifyAudit(all.device);
});

test('an unchanged poll judges nothing again and fetches nothing', async (t) => {
  const all = await setUp(t);
  const first = await all.plan();
  all.server.requests.length = 0;
  const again = await all.plan();
  assert.equal(all.server.requests.length, 2);
  assert.equal([...again!.offers.judged.values()][0]!.statement, [...first!.offers.judged.values()][0]!.statement);
});

test('another model, another platform and another turn in the rollout get no offer', async (t) => {
  const later = { start: '2026-12-01T00:00:00Z', stages: [{ hours: 0, percent: 100 }] };
  for (const change of [{ models: ['AQUIOS CL'] }, { platform: 'win32-x64' as const }, { rollout: later }]) {
    const all = await setUp(t, {}, {}, (repository) => {
      repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.0.0' }), change);
    });
    assert.equal(await all.plan(), null);
    assert.deepEqual(refusals(all), []);
  }
});

test('a rollout reaches the device by the signed position alone, when its time comes', async (t) => {
  const all = await setUp(t, {}, {}, (repository) => {
    const stages = [{ hours: 10, percent: 100 }];
    repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.0.0' }), {
      rollout: { start: '2026-11-23T11:59:00Z', stages },
    });
  });
  assert.equal(await all.plan(), null);
  all.device.setTime('2026-11-23T22:00:00Z');
  assert.deepEqual(offered(await all.plan()), ['diagnostics 1.0.0']);
});

test('a new offer makes a new plan, and the approval of the old one void', async (t) => {
  const all = await setUp(t);
  const first = await all.plan();
  approve(all, first!.digest, '2026-11-23T12:00:00Z');
  all.repository.offer(
    all.repository.addRelease({ name: 'remote-support', version: '2.0.1', capabilities: [transfer] }),
  );
  all.repository.publish();
  const second = await all.plan();
  assert.deepEqual(offered(second), ['remote-support 2.0.1']);
  assert.equal(readPlan(all.device, first!.digest).state, 'void');
  all.repository.channel.offers = [];
  all.repository.publish();
  assert.equal(await all.plan(), null);
  assert.equal(openPlan(all.device), null);
});

test('an approval lapses after 14 days and is asked again', async (t) => {
  const all = await setUp(t);
  const { digest } = (await all.plan())!;
  approve(all, digest, '2026-11-23T12:00:00Z');
  await all.plan();
  assert.equal(readPlan(all.device, digest).state, 'approved');
  all.device.setTime('2026-12-07T12:00:01Z');
  all.repository.setTime('2026-12-07T12:00:00Z').renew('timestamp').renew('snapshot').publish();
  const view = await all.poll();
  await withLock(all.device, () =>
    assert.rejects(recheckPlan(all.device, readPlan(all.device, digest), view), { code: 'PLAN_LAPSED' }),
  );
  await all.plan();
  assert.equal(readPlan(all.device, digest).state, 'offered');
});

test('a declined plan stays declined; a plan on hold comes back at its time', async (t) => {
  const all = await setUp(t);
  const { digest } = (await all.plan())!;
  setPlanState(all.device, digest, 'declined', { reason: 'no' });
  await all.plan();
  assert.equal(readPlan(all.device, digest).state, 'declined');
  setPlanState(all.device, digest, 'held', { until: '2026-11-23T14:00:00Z' });
  await all.plan();
  assert.equal(readPlan(all.device, digest).state, 'held');
  all.device.setTime('2026-11-23T14:00:00Z');
  await all.plan();
  assert.equal(readPlan(all.device, digest).state, 'offered');
});

test('a change under way is not planned over', async (t) => {
  const all = await setUp(t);
  const { digest } = (await all.plan())!;
  setPlanState(all.device, digest, 'switching');
  all.repository.channel.offers = [];
  all.repository.publish();
  assert.equal(await all.plan(), null);
  assert.equal(readPlan(all.device, digest).state, 'switching');
});

const refusing: Record<string, [code: string, change: (repository: PublishedRepository, release: string) => void]> = {
  'a revoked release': [
    'RELEASE_REVOKED',
    (repository, release) => (repository.revocations.releases = [{ release, reason: 'leaks' }]),
  ],
  'a version below the minimum': [
    'RELEASE_BELOW_MINIMUM',
    (repository) => (repository.revocations.minimum = { 'remote-support': '2.0.1' }),
  ],
  'a blocked version': [
    'RELEASE_BLOCKED',
    (repository) =>
      (repository.channel.blocked = [{ component: 'remote-support', version: '2.0.0', reason: 'crashes' }]),
  ],
  'a revoked code-signing key': [
    'CODESIGN_THRESHOLD',
    (repository) => {
      const { build } = repository.codeSigners;
      repository.revocations.keys = [{ spki: repository.spkiOf(build), reason: 'stolen' }];
    },
  ],
};
for (const [name, [code, change]] of Object.entries(refusing))
  test(`${name} is refused, recorded and told; nothing of it is planned`, async (t) => {
    const all = await setUp(t);
    const first = await all.plan();
    assert.deepEqual(offered(first), ['remote-support 2.0.0']);
    approve(all, first!.digest, '2026-11-23T12:00:00Z');
    change(all.repository, first!.plan.steps[0]!.to!.release);
    all.repository.publish();
    const view = await all.poll();
    await withLock(all.device, () =>
      assert.rejects(recheckPlan(all.device, readPlan(all.device, first!.digest), view), { code: 'PLAN_CHANGED' }),
    );
    assert.equal(await all.plan(), null);
    assert.deepEqual(refusals(all), [`remote-support 2.0.0 ${code}`]);
    assert.ok(openAlerts(all.device).some((alert) => alert.code === code && alert.component === 'remote-support'));
    assert.equal(readPlan(all.device, first!.digest).state, 'void');
    all.repository.channel.blocked = [];
    all.repository.revocations = { ...all.repository.revocations, keys: [], releases: [], minimum: {} };
    all.repository.publish();
    assert.deepEqual(offered(await all.plan()), ['remote-support 2.0.0']);
    assert.deepEqual(refusals(all), []);
    assert.deepEqual(openAlerts(all.device), []);
  });

test('on a model with health data what is not allowed is denied, and an unknown model counts as one', async (t) => {
  for (const model of ['Navios', 'Never Heard Of']) {
    const all = await setUp(t, {}, { model });
    const [step] = (await all.plan())!.plan.steps;
    assert.deepEqual(
      [step!.decisions, step!.denied.map(({ capability, by }) => [capability, by])],
      [[], [['file-transfer', 'vendor']]],
    );
  }
  const allowed = (body: { phiAllowed: object[] }): void =>
    void (body.phiAllowed = [{ component: 'remote-support', capability: 'file-transfer', contract: 1 }]);
  const all = await setUp(t, { devices: allowed as RepositoryOptions['devices'] & object }, { model: 'Navios' });
  assert.equal((await all.plan())!.plan.steps[0]!.decisions.length, 1);
  assert.equal((await all.plan())!.plan.approvers.phi, 2);
});

test('an expired policy keeps its denials and allows nothing more on a model with health data', async (t) => {
  const devices: RepositoryOptions['devices'] = (body) => {
    body.expires = '2026-11-23T13:00:00Z';
    body.phiAllowed = [{ component: 'remote-support', capability: 'file-transfer', contract: 1 }];
    body.denied = [{ component: 'remote-support', capability: 'recording' }];
  };
  const prepare = (repository: PublishedRepository): void => {
    const capabilities = [transfer, { id: 'recording' }];
    repository.offer(repository.addRelease({ name: 'remote-support', version: '2.0.0', capabilities }));
  };
  const denied = (plan: Plan): string[] => plan.steps[0]!.denied.map(({ capability }) => capability);
  const all = await setUp(t, { devices: devices! }, { model: 'Navios' }, prepare);
  assert.deepEqual(denied((await all.plan())!.plan), ['recording']);
  all.device.setTime('2026-11-23T13:00:00Z');
  assert.deepEqual(denied((await all.plan())!.plan), ['file-transfer', 'recording']);
});

test('the laboratory can deny, and the page can say that it was the laboratory', async (t) => {
  const sitePolicy = { denied: [{ component: 'remote-support', capability: 'file-transfer' }] };
  const all = await setUp(t, {}, { sitePolicy });
  assert.deepEqual(
    (await all.plan())!.plan.steps[0]!.denied.map(({ by }) => by),
    ['site'],
  );
});

test('the plan is rechecked without a network by what was accepted last', async (t) => {
  const all = await setUp(t);
  const { digest } = (await all.plan())!;
  await withLock(all.device, async () => {
    await assert.rejects(recheckPlan(all.device, readPlan(all.device, digest), null), { code: 'PLAN_NOT_READY' });
    approve(all, digest, '2026-11-23T12:00:00Z');
    await recheckPlan(all.device, readPlan(all.device, digest), null);
    const documents = lastDocuments(all.device)!;
    const known = await currentOffers(all.device, documents, null);
    assert.equal(known.candidates.length, 1);
    emptyTable(all.device, 'document');
    await assert.rejects(recheckPlan(all.device, readPlan(all.device, digest), null), { code: 'PLAN_CHANGED' });
  });
});

test('what was approved is not installed when anything else would be done by now', async (t) => {
  const all = await setUp(t);
  const { digest } = (await all.plan())!;
  approve(all, digest, '2026-11-23T12:00:00Z');
  const recheck = async (): Promise<void> => {
    const view = await all.poll();
    await withLock(all.device, () => recheckPlan(all.device, readPlan(all.device, digest), view));
  };
  await recheck();
  const newer = all.repository.addRelease({ name: 'remote-support', version: '2.0.1', capabilities: [transfer] });
  const offer = all.repository.offer(newer);
  all.repository.publish();
  await assert.rejects(recheck(), { code: 'PLAN_CHANGED', message: /no longer what would be installed/ });
  all.repository.channel.offers = all.repository.channel.offers.filter((one) => one !== offer);
  all.repository.publish();
  await recheck();
});
