/**
 * Recovers the device at every start, under the lock, before anything else. It finishes or undoes an interrupted change, removes
 * what that left behind, rewrites `grants/` from the database, and checks the files of the running generation. Needs no network
 * and no person. A loss that it cannot repair is an alert; the other components run on.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '@countersign/protocol';
import { removeLeftovers } from '@countersign/protocol/node';
import { clearAlert, openAlerts } from '../device/alerts.ts';
import { transact } from '../device/database.ts';
import { requireLock, stagingFolder, type Device } from '../device/device.ts';
import { collectGarbage } from '../generations/garbage.ts';
import { currentGeneration } from '../generations/generations.ts';
import { writeGrants } from '../generations/grants.ts';
import { enterPhase, openJob, type Job } from '../generations/journal.ts';
import { verifyArchive } from '../generations/store.ts';
import { killIfSame } from '../platform/processes.ts';
import { removeTree } from '../platform/removal.ts';
import type { OnSwitchProgress } from './switch-hooks.ts';
import { runHook } from './hooks.ts';
import { reportUnhealthy } from './installer.ts';
import { drive, type Outcome } from './switch.ts';

export interface Recovery {
  /** How the interrupted change ended; null: there was none. */
  readonly outcome: Outcome | null;
  /** Running components whose files are damaged; each has an alert. */
  readonly damaged: readonly string[];
}

/** The caller holds the lock. @throws what stops even the way back, such as DISK_FULL; the next call goes on */
export async function recover(device: Device, options: { onProgress?: OnSwitchProgress } = {}): Promise<Recovery> {
  requireLock(device);
  const job = openJob(device);
  let outcome: Outcome | null = null;
  if (job) {
    if (job.detail.hook) killIfSame(job.detail.hook);
    resume(device, job);
    outcome = await drive(device, options);
    device.log({ level: 'warn', event: 'recovered', phase: job.phase, ...outcome });
  }
  writeGrants(device);
  // Removes what an interrupted write left beside the whole file.
  for (const folder of [['metadata'], ['metadata', 'history']])
    if (existsSync(join(device.directory, ...folder))) removeLeftovers(join(device.directory, ...folder));
  for (const name of readdirSync(stagingFolder(device)))
    if (name.startsWith('unpack-')) removeTree(join(stagingFolder(device), name));
  collectGarbage(device);
  return { outcome, damaged: await checkRunning(device) };
}

/**
 * Old components that were being stopped are started again, because the last check before the switch is not fresh any more. After
 * the switch the change goes on with the starts, since a power cut ends what had been started. A budget turns it back when it is
 * interrupted too often.
 */
function resume(device: Device, job: Job): void {
  if (job.phase === 'staging') return;
  const again = { stopping: 'restarting', probation: 'starting' } as const;
  const phase = job.phase in again ? again[job.phase as keyof typeof again] : job.phase;
  transact(device.database, () => enterPhase(device, job, phase, { hook: null }));
}

/** Checks every file of the running generation against its digest list; an alert about a component ends once it is well again. */
async function checkRunning(device: Device): Promise<string[]> {
  const damaged: string[] = [];
  const generation = currentGeneration(device);
  for (const { component, archives } of generation?.components ?? []) {
    try {
      for (const { sha256 } of archives) await verifyArchive(device, sha256);
      if (!openAlerts(device).some((alert) => alert.code === 'COMPONENT_UNHEALTHY' && alert.component === component))
        continue;
      await runHook(device, generation!, component, 'health');
      clearAlert(device, 'COMPONENT_UNHEALTHY', component);
    } catch (error) {
      if (codeOf(error) === 'STORE_DAMAGED') damaged.push(component);
      reportUnhealthy(device, component, error);
    }
  }
  return damaged;
}
