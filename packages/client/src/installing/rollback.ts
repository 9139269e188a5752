/**
 * Goes back by hand to the generation before the running one. It becomes a new generation with the old one's releases and
 * archives, so that no earlier approval fits it. What was revoked or refused since stays off; what was granted since is suspended.
 */
import { timeText } from '@countersign/protocol';
import { transact } from '../device/database.ts';
import { requireLock, type Device } from '../device/device.ts';
import { listDecisions, reviveDecisions } from '../generations/capability-decisions.ts';
import { engineError } from '../generations/engine-errors.ts';
import { collectGarbage } from '../generations/garbage.ts';
import {
  currentRow,
  nextGenerationNumber,
  readComponentRows,
  readGeneration,
  writeGeneration,
  type Generation,
  type NewComponent,
} from '../generations/generations.ts';
import { beginJob, enterPhase } from '../generations/journal.ts';
import type { PlanOutcome } from '../generations/plans.ts';
import { verifyArchive } from '../generations/store.ts';
import type { OnSwitchProgress } from './switch-hooks.ts';
import { drive } from './switch.ts';

export interface RollbackRequest {
  /** Whether the older generation may run again (revocations, minimum versions, denials); throws to refuse. */
  readonly check: (target: Generation) => Promise<void> | void;
  readonly onProgress?: OnSwitchProgress;
}

/** The generation that `rollback` would go back to; null: none. */
export function rollbackTarget(device: Device): Generation | null {
  const previous = currentRow(device)?.previous ?? null;
  return previous === null ? null : readGeneration(device, previous);
}

/** The caller holds the lock. @throws ROLLBACK_NOTHING INSTALL_UNFINISHED STORE_DAMAGED, and what `check` throws */
export async function rollback(device: Device, { check, onProgress }: RollbackRequest): Promise<PlanOutcome> {
  requireLock(device);
  const target = rollbackTarget(device);
  const current = currentRow(device);
  if (!target || !current)
    throw engineError('ROLLBACK_NOTHING', `no generation was kept before ${current?.generation ?? 0}`);
  await check(target);
  onProgress?.({ step: 'check' });
  for (const { archives } of target.components) for (const { sha256 } of archives) await verifyArchive(device, sha256);
  const components = copyOf(device, target.number);
  begin(device, target, current, components);
  const outcome = await drive(device, {
    atSwitch: () => {
      for (const { component, grants } of components) reviveDecisions(device, component, grants);
      const back = new Set(components.map(({ component }) => component));
      for (const { component } of readGeneration(device, current.generation).components)
        if (!back.has(component)) reviveDecisions(device, component, []);
    },
    onProgress,
  });
  collectGarbage(device);
  return outcome as PlanOutcome;
}

/** The older generation without what was revoked or refused since. */
function copyOf(device: Device, number: number): NewComponent[] {
  return readComponentRows(device, number).map((row) => {
    const off = new Set(
      listDecisions(device, [row.component])
        .filter(({ state }) => state === 'revoked' || state === 'declined')
        .map(({ capability }) => capability),
    );
    return {
      ...row,
      grants: row.grants.filter(({ capability }) => !off.has(capability)),
      archives: row.archives.filter(({ capability }) => !off.has(capability)),
    };
  });
}

function begin(
  device: Device,
  target: Generation,
  from: { generation: number; previous: number | null },
  components: readonly NewComponent[],
): void {
  const running = readGeneration(device, from.generation);
  const changed = changedBetween(running, target);
  const number = nextGenerationNumber(device);
  transact(device.database, () => {
    const job = beginJob(device, {
      kind: 'rollback',
      plan: running.plan,
      generation: number,
      phase: 'staging',
      detail: {
        from,
        changed,
        planState: null,
        before: listDecisions(device, changed),
        granting: components.flatMap(({ component, grants }) =>
          grants.map(({ capability }) => `${component}/${capability}`),
        ),
        revoked: [],
        failure: null,
        hook: null,
      },
    });
    writeGeneration(device, { number, plan: target.plan, created: timeText(device.clock()) }, components);
    enterPhase(device, job, 'stopping');
  });
}

/** Components that are in only one of them, or differ in release or archives. */
function changedBetween(a: Generation, b: Generation): string[] {
  const mark = (generation: Generation): Map<string, string> =>
    new Map(
      generation.components.map(({ component, release, archives }) => [
        component,
        [release, ...archives.map(({ sha256 }) => sha256)].join(' '),
      ]),
    );
  const [marksA, marksB] = [mark(a), mark(b)];
  return [...new Set([...marksA.keys(), ...marksB.keys()])]
    .filter((name) => marksA.get(name) !== marksB.get(name))
    .sort();
}
