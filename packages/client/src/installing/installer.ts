/**
 * Installs an approved plan: unpacks everything, writes the new generation's rows, checks once more, then switches. Until the
 * switch nothing that runs is touched; after it `drive` takes the change to its end, forwards or back.
 *
 * Must never unpack what the plan did not grant, and never leave a job behind except after a crash.
 */
import { messageOf, codeOf, timeText } from '@countersign/protocol';
import { raiseAlert } from '../device/alerts.ts';
import { transact } from '../device/database.ts';
import { requireLock, type Device } from '../device/device.ts';
import { applyDecisions, listDecisions } from '../generations/capability-decisions.ts';
import { engineError } from '../generations/engine-errors.ts';
import { collectGarbage } from '../generations/garbage.ts';
import { currentRow, nextGenerationNumber, readGeneration, writeGeneration } from '../generations/generations.ts';
import { beginJob, countAttempts, enterPhase, note, openJob, type Job } from '../generations/journal.ts';
import { planState, setPlanState, type PlanOutcome } from '../generations/plans.ts';
import { storeArchive, verifyArchive } from '../generations/store.ts';
import type { OnSwitchProgress } from './switch-hooks.ts';
import type { DecidedInstall } from './decided-install.ts';
import { checkInstall, type CheckedInstall, type FetchedArchives } from './install-input.ts';
import { drive } from './switch.ts';

export interface InstallRequest {
  readonly decided: DecidedInstall;
  readonly archives: FetchedArchives;
  /** The last check right before the switch (revocations, approval, policy); throws to refuse. */
  readonly beforeSwitch: () => Promise<void> | void;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnSwitchProgress;
}

/** Failures after which the same plan may be tried again. */
const interruptions = [
  'DISK_FULL',
  'FILE_WRITE',
  'ARCHIVE_DISK_FULL',
  'ARCHIVE_IO',
  'ARCHIVE_CANCELLED',
  'ABORT_ERR',
  'CANCELLED',
];

/** How often the switch of one plan is begun before a person must look. */
const maximumAttempts = 5;

/**
 * Installs the plan; the caller holds the lock. If it throws, it refused before the switch: the old generation runs on untouched.
 * @throws what `checkInstall`, `storeArchive` and `beforeSwitch` throw; STORE_DAMAGED, INSTALL_UNFINISHED, INSTALL_LOOP
 */
export async function install(device: Device, request: InstallRequest): Promise<PlanOutcome> {
  requireLock(device);
  const { decided, archives } = request;
  checkLoop(device, decided.digest);
  const checked = checkInstall(device, decided, archives);
  const job = begin(device, decided);
  try {
    await stage(device, request, checked, job);
  } catch (error) {
    await drive(device);
    // What was refused does not stay on the disk; after a mere interruption it stays for the next try.
    if (!interruptions.includes(codeOf(error) ?? '')) collectGarbage(device);
    throw error;
  }
  const outcome = await drive(device, {
    atSwitch: () => decide(device, decided),
    onProgress: request.onProgress,
  });
  collectGarbage(device);
  return outcome as PlanOutcome;
}

function begin(device: Device, { digest, steps }: DecidedInstall): Job {
  const changed = steps.map(({ step }) => step.component);
  return transact(device.database, () =>
    beginJob(device, {
      kind: 'install',
      plan: digest,
      generation: nextGenerationNumber(device),
      phase: 'staging',
      detail: {
        from: currentRow(device),
        changed,
        planState: planState(device, digest),
        before: listDecisions(device, changed),
        granting: steps.flatMap(({ step, grants }) =>
          grants.map(({ capability }) => `${step.component}/${capability}`),
        ),
        revoked: [],
        failure: null,
        hook: null,
      },
    }),
  );
}

async function stage(device: Device, request: InstallRequest, checked: CheckedInstall, job: Job): Promise<void> {
  const { signal, onProgress } = request;
  const fresh = new Set<string>();
  for (const archive of checked.archives) {
    signal?.throwIfAborted();
    const unpacked = await storeArchive(device, archive, {
      ...(signal && { signal }),
      onProgress: (done, total) => onProgress?.({ step: 'unpack', done, total }),
    });
    if (unpacked) fresh.add(archive.sha256);
  }
  const { generation: number } = job;
  transact(device.database, () =>
    writeGeneration(
      device,
      { number, plan: request.decided.digest, created: timeText(device.clock()) },
      checked.components,
    ),
  );
  onProgress?.({ step: 'check' });
  await checkFiles(device, number, new Set(job.detail.changed), fresh);
  await request.beforeSwitch();
  signal?.throwIfAborted();
  transact(device.database, () => {
    setPlanState(device, request.decided.digest, 'switching');
    enterPhase(device, job, 'stopping');
  });
}

/**
 * Checks every file of the new generation against its digest list, except archives unpacked just now: those were hashed while
 * unpacking. Damage in a component that the change does not touch is reported and does not stop the change.
 */
async function checkFiles(
  device: Device,
  number: number,
  changed: ReadonlySet<string>,
  fresh: ReadonlySet<string>,
): Promise<void> {
  const seen = new Set(fresh);
  for (const { component, archives } of readGeneration(device, number).components)
    for (const { sha256 } of archives) {
      if (seen.has(sha256)) continue;
      seen.add(sha256);
      try {
        await verifyArchive(device, sha256);
      } catch (error) {
        if (changed.has(component)) throw error;
        reportUnhealthy(device, component, error);
      }
    }
}

/** Raises an alert for a component whose files have changed or that is not alive. */
export function reportUnhealthy(device: Device, component: string, error: unknown): void {
  const message = `${component} is not well: ${messageOf(error)}`;
  raiseAlert(device, { code: 'COMPONENT_UNHEALTHY', component, severity: 'critical', message });
}

/** Call inside the switching transaction. */
function decide(device: Device, { digest, steps }: DecidedInstall): void {
  const { revoked } = openJob(device)!.detail;
  for (const { step, grants, declined } of steps) {
    const { component, to } = step;
    const names = revoked.filter((name) => name.startsWith(`${component}/`));
    applyDecisions(device, component, digest, {
      grants,
      declined: to === null ? [] : declined,
      revoked: names.map((name) => name.slice(component.length + 1)),
    });
  }
}

/** Leaves a switch that is interrupted again and again to a person. */
function checkLoop(device: Device, plan: string): void {
  const attempts = countAttempts(device, plan);
  if (attempts < maximumAttempts) return;
  const error = engineError('INSTALL_LOOP', `the switch was begun ${attempts} times and never ended`);
  transact(device.database, () => {
    note(device, 0, 'loop', 'failed', plan);
    setPlanState(device, plan, 'held', { reason: 'INSTALL_LOOP' });
    raiseAlert(device, { code: 'INSTALL_LOOP', severity: 'critical', message: error.message });
  });
  throw error;
}
