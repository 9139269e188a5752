/** Puts the rows that an install leaves into a device's database, without unpacking or starting anything. */
import { decidePlan, timeText, type Manifest } from '@countersign/protocol';
import type { DevicePlan } from '../../packages/client/src/consent/planning.ts';
import { transact } from '../../packages/client/src/device/database.ts';
import { applyDecisions } from '../../packages/client/src/generations/capability-decisions.ts';
import {
  currentGeneration,
  currentRow,
  nextGenerationNumber,
  readComponentRows,
  setGenerationState,
  writeCurrentRow,
  writeGeneration,
  type NewComponent,
} from '../../packages/client/src/generations/generations.ts';
import { raiseHighest } from '../../packages/client/src/generations/install-history.ts';
import { setPlanState } from '../../packages/client/src/generations/plans.ts';
import type { ScratchDevice } from './scratch-device.ts';

/** Pretends that the plan was approved with exactly these capabilities on, and committed. */
export function pretendInstalled(
  device: ScratchDevice,
  { plan, digest, offers }: DevicePlan,
  on: readonly string[] = [],
): void {
  const { database } = device;
  const before = currentRow(device);
  const running = new Map<string, Manifest>(
    currentGeneration(device)?.components.map(({ component, manifest }) => [component, manifest]),
  );
  const judged = (release: string) => offers.judged.get(release)!;
  const planned = new Map(
    plan.steps.flatMap(({ component, to }) =>
      to === null ? [] : [[component, judged(to.release).statement.predicate.manifest]],
    ),
  );
  const decisions = plan.steps.flatMap(({ component, decisions: asked }) =>
    asked.map(({ capability, contract, scope }) => ({
      component,
      capability,
      contract,
      scope,
      grant: on.includes(capability),
    })),
  );
  const { steps } = decidePlan(plan, decisions, running, planned);
  const components = new Map<string, NewComponent>(
    before === null ? [] : readComponentRows(device, before.generation).map((row) => [row.component, row]),
  );
  transact(database, () => {
    const number = nextGenerationNumber(device);
    const now = timeText(device.clock());
    for (const { step, grants, declined } of steps) {
      const { component, to } = step;
      if (to === null) components.delete(component);
      else {
        const { statementBytes: statement } = judged(to.release);
        components.set(component, { component, ...to, statement, grants, archives: [] });
      }
      applyDecisions(device, component, digest, { grants, declined, revoked: [] });
    }
    raiseHighest(device, [...components.values()]);
    writeGeneration(device, { number, plan: digest, created: now }, [...components.values()]);
    setGenerationState(device, number, 'current');
    writeCurrentRow(device, { generation: number, previous: before?.generation ?? null });
    setPlanState(device, digest, 'committed');
  });
}
