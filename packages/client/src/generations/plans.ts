/**
 * The plans of a device and where each stands. A plan's body never changes; its state does, and every change of state is in the
 * audit trail. At most one plan is open at a time.
 */
import { shortDigest, planFormat, type Plan } from '@countersign/protocol';
import { appendAudit, timeText } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { engineError } from './engine-errors.ts';

export type PlanState =
  | 'offered'
  | 'awaiting-approval'
  | 'held'
  | 'declined'
  | 'approved'
  | 'downloading'
  | 'paused'
  | 'staged'
  | 'awaiting-window'
  | 'switching'
  | 'probation'
  | 'committed'
  | 'rolling-back'
  | 'rolled-back'
  | 'void'
  | 'lapsed';

/** Nobody has approved it yet, or the approval was taken back. */
export const undecidedStates: readonly PlanState[] = ['offered', 'awaiting-approval', 'held', 'declined'];
/** Approved, and the switch has not begun: a person may still take it back. */
export const waitingStates: readonly PlanState[] = ['approved', 'downloading', 'paused', 'staged', 'awaiting-window'];

export interface StoredPlan {
  readonly digest: string;
  readonly plan: Plan;
  readonly state: PlanState;
  readonly reason: string | null;
  readonly until: string | null;
  /** What both verifiers said of it: `agreed`, or null before they were asked. */
  readonly verdict: string | null;
  readonly created: string;
  readonly changed: string;
}

type PlanRow = Omit<StoredPlan, 'plan'> & { body: Uint8Array };

const stored = ({ body, ...row }: PlanRow): StoredPlan => ({ ...row, plan: planFormat.parse(body) });

/** @throws APPROVAL_PLAN_UNKNOWN */
export function readPlan(device: Device, digest: string): StoredPlan {
  const row = device.database.prepare('SELECT * FROM plan WHERE digest = ?').get(digest) as PlanRow | undefined;
  if (row === undefined) throw engineError('APPROVAL_PLAN_UNKNOWN', `this device has no plan ${shortDigest(digest)}`);
  return stored(row);
}

/** The plan that is open, the newest first; null when there is none. */
export function openPlan(device: Device): StoredPlan | null {
  const states = [...undecidedStates, ...waitingStates, 'switching', 'probation', 'rolling-back'];
  const row = device.database
    .prepare(
      `SELECT * FROM plan WHERE state IN (${states.map(() => '?').join(', ')}) ORDER BY created DESC, changed DESC LIMIT 1`,
    )
    .get(...states) as PlanRow | undefined;
  return row === undefined ? null : stored(row);
}

/** Moves a plan to another state, in the caller's transaction where there is one. */
export function setPlanState(
  device: Device,
  digest: string,
  state: PlanState,
  { reason = null, until = null }: { reason?: string | null; until?: string | null } = {},
): void {
  const { database } = device;
  const move = (): void => {
    database
      .prepare('UPDATE plan SET state = ?, reason = ?, until = ?, changed = ? WHERE digest = ?')
      .run(state, reason, until, timeText(device.clock()), digest);
    appendAudit(device, `plan-${state}`, { plan: digest, reason, until });
  };
  if (database.isTransaction) move();
  else transact(database, move);
}
