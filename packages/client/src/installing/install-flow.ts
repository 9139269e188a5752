/**
 * Takes an approved plan to a running generation: refresh, check that the plan is still what would be done, let both verifiers
 * agree, download exactly what was granted, install. Any failure before the switch leaves the device as it was. The plan then
 * waits for another try, or is void if it is not right any more.
 */
import { messageOf, codeOf } from '@countersign/protocol';
import { recheckBeforeSwitch, recheckPlan } from '../consent/planning.ts';
import { clearAlert, raiseAlert } from '../device/alerts.ts';
import type { Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import {
  openPlan,
  readPlan,
  setPlanState,
  waitingStates,
  type PlanOutcome,
  type StoredPlan,
} from '../generations/plans.ts';
import { refreshTrust } from '../trust/refresh.ts';
import type { SwitchProgress } from './switch-hooks.ts';
import { decideInstall } from './decided-install.ts';
import { fetchArchives, type DownloadProgress } from './downloads.ts';
import { install } from './installer.ts';
import { confirmByBothVerifiers } from './verifiers.ts';

export type InstallProgress = SwitchProgress | ({ readonly step: 'download' } & DownloadProgress);

export interface InstallOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: InstallProgress) => void;
}

/** `running` is the generation that runs now; it differs from the plan's if the plan was carried out a while ago. */
export type InstallOutcome = PlanOutcome & { readonly plan: string; readonly running: number };

/** The approved plan whose switch has not begun; null: none. */
export function approvedPlan(device: Device): StoredPlan | null {
  const open = openPlan(device);
  return open !== null && waitingStates.includes(open.state) ? open : null;
}

/**
 * Carries out the approved plan. The caller holds the device lock. A failed health check is an outcome, not an error.
 * @throws NOTHING_TO_DO PLAN_CHANGED PLAN_LAPSED VERIFIERS_DISAGREE DOWNLOAD_* ARCHIVE_* SOURCE_* INSTALL_* and what a refused refresh
 * throws: nothing was switched, the plan is paused or void
 */
export async function installApproved(device: Device, options: InstallOptions = {}): Promise<InstallOutcome> {
  const stored = approvedPlan(device);
  if (stored === null)
    throw clientError('NOTHING_TO_DO', 'no plan is approved', { hint: 'see countersign-device plan, then approve it' });
  const { digest } = stored;
  try {
    const outcome = await carryOut(device, stored, options);
    clearAlert(device, 'INSTALL_FAILED');
    clearAlert(device, 'UPDATE_AVAILABLE');
    return { ...outcome, plan: digest, running: outcome.generation };
  } catch (error) {
    try {
      settle(device, digest, error, options.signal);
    } catch (also) {
      // On a full disk even this note fails; the first error is the one to report.
      device.log({ level: 'error', event: 'plan-not-settled', plan: digest, message: String(also) });
    }
    throw error;
  }
}

async function carryOut(device: Device, stored: StoredPlan, { signal, onProgress }: InstallOptions) {
  const { digest } = stored;
  const view = await refreshTrust(device);
  await recheckPlan(device, stored, view);
  const decided = decideInstall(device, digest);
  await confirmByBothVerifiers(device, view, decided);
  setPlanState(device, digest, 'downloading');
  const archives = await fetchArchives(device, view, decided, {
    ...(signal && { signal }),
    onProgress: (progress) => onProgress?.({ step: 'download', ...progress }),
  });
  setPlanState(device, digest, 'staged');
  return install(device, {
    decided,
    archives,
    beforeSwitch: () => recheckBeforeSwitch(device, digest),
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  });
}

/** Sets the plan's state after a failure. A plan whose switch began belongs to the engine and is not touched here. */
function settle(device: Device, digest: string, error: unknown, signal: AbortSignal | undefined): void {
  if (!waitingStates.includes(readPlan(device, digest).state)) return;
  const code = codeOf(error) ?? 'INTERNAL';
  const message = messageOf(error);
  const reason = `${code}: ${message}`.slice(0, 500);
  if (code === 'PLAN_CHANGED') return setPlanState(device, digest, 'void', { reason });
  if (code === 'INSTALL_NOTHING_LEFT') return setPlanState(device, digest, 'declined', { reason });
  if (code === 'PLAN_LAPSED') return setPlanState(device, digest, 'lapsed', { reason });
  setPlanState(device, digest, 'paused', { reason });
  if (!signal?.aborted) raiseAlert(device, { code: 'INSTALL_FAILED', severity: 'warning', message: reason });
}
