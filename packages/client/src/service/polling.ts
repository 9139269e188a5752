/**
 * Polls once: brings trust up to date, then the plan, then the alerts. While nothing is new the plan is computed only once a
 * minute, since rollout shares, holds and approvals change with time.
 */
import { codeOf, timeText, type Omission } from '@countersign/protocol';
import { computeDevicePlan, lastOmissions } from '../consent/planning.ts';
import { clearAlert, raiseAlert } from '../device/alerts.ts';
import type { Device } from '../device/device.ts';
import { readSetting, writeSetting, type PlanRequests } from '../device/settings.ts';
import { openPlan, type PlanState } from '../generations/plans.ts';
import { refreshTrust } from '../trust/refresh.ts';

export interface PollResult {
  /** Whether the server had anything new. */
  readonly changed: boolean;
  /** The open plan; null where there is nothing to decide or do. */
  readonly plan: { readonly digest: string; readonly state: PlanState } | null;
  readonly omitted: readonly Omission[];
}

const minute = 60_000;
const computed = new WeakMap<Device['database'], number>();

/**
 * Polls once. The caller holds the device lock. What a person asks for (`asked`) is always planned.
 * @throws what `refreshTrust` and `computeDevicePlan` throw; what was trusted and planned before stays
 */
export async function poll(device: Device, asked: PlanRequests = {}): Promise<PollResult> {
  try {
    const view = await refreshTrust(device);
    const isAsked = (asked.requests?.length ?? 0) + (asked.removals?.length ?? 0) > 0;
    if (view.changed || isAsked || performance.now() - (computed.get(device.database) ?? -Infinity) > minute) {
      await computeDevicePlan(device, view, asked);
      computed.set(device.database, performance.now());
      tellOfUpdate(device);
    }
    noteOutcome(device, 'ok');
    const open = openPlan(device);
    return {
      changed: view.changed,
      plan: open && { digest: open.digest, state: open.state },
      omitted: lastOmissions(device),
    };
  } catch (error) {
    noteOutcome(device, codeOf(error) ?? 'INTERNAL');
    throw error;
  }
}

/** Raises an alert while there is something to decide, and clears it afterwards. */
function tellOfUpdate(device: Device): void {
  const open = openPlan(device);
  if (open?.state !== 'offered' && open?.state !== 'awaiting-approval') return clearAlert(device, 'UPDATE_AVAILABLE');
  const critical = open.plan.steps.some(({ urgency }) => urgency !== 'routine');
  const names = open.plan.steps.map(({ component, to }) => `${component} ${to?.version ?? '(removal)'}`).join(', ');
  raiseAlert(device, {
    code: 'UPDATE_AVAILABLE',
    severity: critical ? 'warning' : 'info',
    message: `a change waits for a technician's approval: ${names}`,
  });
}

/** Writes the outcome when it differs, or once a minute: a poll in which nothing happens must not wear out the disk. */
function noteOutcome(device: Device, outcome: string): void {
  const last = readSetting(device.database, 'lastPoll');
  const now = device.clock();
  if (last?.outcome === outcome && Math.abs(now.getTime() - Date.parse(last.at)) < minute) return;
  writeSetting(device.database, 'lastPoll', { at: timeText(now), outcome });
}
