/** Row 8: a capability slipped in, renamed, widened or brought back; and what is offered to a model with health data. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Capability, PlanStep } from '@countersign/protocol';
import { attackScene } from '../support/attack-scene.ts';
import { pretendInstalled } from '../support/pretended-install.ts';

type Declared = Partial<Capability> & { id: string };
const view: Declared = { id: 'screen-view' };
const logs: Declared = { id: 'log-access', scope: { area: ['logs'] } };

/** remote-support 2.0.0 with both capabilities on, and one step of the plan that `next` then makes. */
async function after(t: TestContext, next: readonly Declared[]): Promise<PlanStep> {
  const scene = await attackScene(t, {
    prepare: (repository) =>
      void repository.offer(
        repository.addRelease({ name: 'remote-support', version: '2.0.0', capabilities: [view, logs] }),
      ),
  });
  const first = await scene.check();
  pretendInstalled(scene.device, first.plan!, ['screen-view', 'log-access']);
  assert.equal((await scene.check()).plan, null);
  scene.repository.offer(
    scene.repository.addRelease({ name: 'remote-support', version: '2.0.1', capabilities: [...next] }),
  );
  scene.repository.publish();
  const { plan } = await scene.check();
  return plan!.plan.steps.find(({ component }) => component === 'remote-support')!;
}
const asked = ({ decisions }: PlanStep): string[] =>
  decisions.map(({ capability, change }) => `${capability} ${change}`);
const kept = (step: PlanStep): string[] => step.kept.map(({ capability }) => capability);

test('the same capabilities are not asked again', async (t) => {
  const step = await after(t, [view, logs]);
  assert.deepEqual([asked(step), kept(step)], [[], ['log-access', 'screen-view']]);
});

const attempts: Record<string, [next: Declared[], asked: string[], kept: string[], closed: string[]]> = {
  'slipped in': [[view, logs, { id: 'file-transfer' }], ['file-transfer new'], ['log-access', 'screen-view'], []],
  renamed: [[view, { ...logs, id: 'log-access2' }], ['log-access2 new'], ['screen-view'], ['log-access']],
  'widened by an area': [
    [view, { ...logs, scope: { area: ['logs', 'results'] } }],
    ['log-access widened'],
    ['screen-view'],
    [],
  ],
  'widened by a word that the device does not know': [
    [view, { ...logs, scope: { area: ['logs'], depth: 9 } }],
    ['log-access widened'],
    ['screen-view'],
    [],
  ],
  'given another meaning': [[view, { ...logs, contract: 2 }], ['log-access contract-changed'], ['screen-view'], []],
  'made riskier': [[view, { ...logs, risk: 'phi' }], ['log-access risk-raised'], ['screen-view'], []],
};
for (const [name, [next, expected, silent, closed]] of Object.entries(attempts))
  test(`a capability that is ${name} is asked and stays off without an answer`, async (t) => {
    const step = await after(t, next);
    assert.deepEqual([asked(step), kept(step), step.closed], [expected, silent, closed]);
  });

test('a capability that was taken out and comes back is asked again', async (t) => {
  const scene = await attackScene(t);
  const release = async (version: string, capabilities: Declared[], on: string[]): Promise<PlanStep> => {
    scene.repository.offer(scene.repository.addRelease({ name: 'remote-support', version, capabilities }));
    scene.repository.publish();
    const { plan } = await scene.check();
    pretendInstalled(scene.device, plan!, on);
    return plan!.plan.steps.find(({ component }) => component === 'remote-support')!;
  };
  await release('2.0.0', [view, logs], ['screen-view', 'log-access']);
  assert.deepEqual((await release('2.0.1', [view], [])).closed, ['log-access']);
  assert.deepEqual(asked(await release('2.0.2', [view, logs], [])), ['log-access new']);
});

test('on a model with health data, or an unknown one, a capability is not even asked', async (t) => {
  for (const model of ['Navios', 'Something Else']) {
    const scene = await attackScene(t, {
      settings: { model },
      prepare: (repository) =>
        void repository.offer(
          repository.addRelease({ name: 'remote-support', version: '2.0.0', capabilities: [view, logs] }),
        ),
    });
    const { plan } = await scene.check();
    const step = plan!.plan.steps.find(({ component }) => component === 'remote-support')!;
    assert.deepEqual(
      [asked(step), step.denied.map(({ capability }) => capability)],
      [[], ['log-access', 'screen-view']],
    );
  }
});

test('a component that cannot do without what is denied is not offered', async (t) => {
  const scene = await attackScene(t, {
    settings: { model: 'Navios' },
    prepare: (repository) =>
      void repository.offer(
        repository.addRelease({
          name: 'remote-support',
          version: '2.0.0',
          capabilities: [{ ...logs, required: true }],
        }),
      ),
  });
  assert.equal(scene.offered('remote-support'), null);
});
