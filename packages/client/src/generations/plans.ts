/**
 * Keeps the plans of a device and the state of each. A plan's body never changes; its state does, and every change of state is in
 * the audit trail. At most one plan is open at a time.
 */
import { shortDigest, planFormat, timeText, type Plan } from '@countersign/protocol';
import { appendAudit } from '../device/audit.ts';
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
  | 'switching'
  | 'probation'
  | 'committed'
  | 'rolling-back'
  | 'rolled-back'
  | 'void'
  | 'lapsed';

/** The switch has begun: the engine finishes it. */
export const changingStates: readonly PlanState[] = ['switching', 'probation', 'rolling-back'];
/** Nobody has approved it yet, or the approval was taken back. */
export const undecidedStates: readonly PlanState[] = ['offered', 'awaiting-approval', 'held', 'declined'];
/** Approved, and the switch has not begun: a person may still take it back. */
export const waitingStates: readonly PlanState[] = ['approved', 'downloading', 'paused', 'staged'];

/** How a plan ended: its generation runs, or the one before runs again because a component was unhealthy or a person went back. */
export type PlanOutcome =
  | { readonly outcome: 'committed'; readonly generation: number }
  /** `generation` runs again; 0: nothing is installed. `component` is '' if no component was at fault. */
  | { readonly outcome: 'rolled-back'; readonly generation: number; readonly code: string; readonly component: string };

export interface StoredPlan {
  readonly digest: string;
  readonly plan: Plan;
  readonly state: PlanState;
  readonly reason: string | null;
  readonly until: string | null;
  /** What both verifiers said of it; null before they were asked. */
  readonly verdict: 'agreed' | 'disagreed' | null;
  /** How its execution ended; null before that. */
  readonly outcome: PlanOutcome | null;
  readonly created: string;
  readonly changed: string;
}

type PlanRow = Omit<StoredPlan, 'plan' | 'outcome'> & { body: Uint8Array; outcome: string | null };

const stored = ({ body, outcome, ...row }: PlanRow): StoredPlan => ({
  ...row,
  plan: planFormat.parse(body),
  outcome: outcome === null ? null : (JSON.parse(outcome) as PlanOutcome),
});

/** @throws APPROVAL_PLAN_UNKNOWN */
export function readPlan(device: Device, digest: string): StoredPlan {
  const row = device.database.prepare('SELECT * FROM plan WHERE digest = ?').get(digest) as PlanRow | undefined;
  if (row === undefined) throw engineError('APPROVAL_PLAN_UNKNOWN', `this device has no plan ${shortDigest(digest)}`);
  return stored(row);
}

/** The state of a plan; null if the device has no plan with that digest. */
export function planState(device: Device, digest: string): PlanState | null {
  const row = device.database.prepare('SELECT state FROM plan WHERE digest = ?').get(digest) as
    { state: PlanState } | undefined;
  return row?.state ?? null;
}

/** Every plan, most recently changed first. */
export const listPlans = (device: Device): StoredPlan[] =>
  (
    device.database
      .prepare('SELECT * FROM plan ORDER BY changed DESC, created DESC, digest')
      .all() as unknown as PlanRow[]
  ).map(stored);

/** Digests of the plans that begin with these digits. */
export const plansBeginning = (device: Device, digits: string): string[] =>
  (
    device.database.prepare('SELECT digest FROM plan WHERE substr(digest, 1, ?) = ?').all(digits.length, digits) as {
      digest: string;
    }[]
  ).map(({ digest }) => digest);

/** Digests of the plans in one of those states. */
export const plansIn = (device: Device, states: readonly PlanState[]): string[] =>
  (
    device.database
      .prepare(`SELECT digest FROM plan WHERE state IN (${states.map(() => '?').join(', ')}) ORDER BY created, digest`)
      .all(...states) as { digest: string }[]
  ).map(({ digest }) => digest);

/** Whether both verifiers agreed on every plan that was ever carried out; false before the first. */
export function verifiersAlwaysAgreed(device: Device): boolean {
  const carriedOut = device.database
    .prepare("SELECT verdict FROM plan WHERE state IN ('committed', 'rolled-back')")
    .all() as { verdict: string | null }[];
  return carriedOut.length > 0 && carriedOut.every(({ verdict }) => verdict === 'agreed');
}

/** Adds a new plan in the state `offered`, inside the caller's transaction. */
export function addPlan(device: Device, plan: Plan, digest: string): void {
  const now = timeText(device.clock());
  device.database
    .prepare(`INSERT INTO plan (digest, body, state, created, changed) VALUES (?, ?, 'offered', ?, ?)`)
    .run(digest, planFormat.serialize(plan), now, now);
  appendAudit(device, 'plan-offered', { plan: digest });
}

/** Keeps what both verifiers said of a plan. */
export function keepVerdict(device: Device, digest: string, verdict: 'agreed' | 'disagreed'): void {
  transact(device.database, () => {
    device.database
      .prepare('UPDATE plan SET verdict = ?, changed = ? WHERE digest = ?')
      .run(verdict, timeText(device.clock()), digest);
    appendAudit(device, 'verifiers', { plan: digest, verdict });
  });
}

/** Keeps how a plan's execution ended, inside the transaction that ends it. */
export function keepOutcome(device: Device, digest: string, outcome: PlanOutcome): void {
  device.database.prepare('UPDATE plan SET outcome = ? WHERE digest = ?').run(JSON.stringify(outcome), digest);
}

/** The newest open plan; null when there is none. */
export function openPlan(device: Device): StoredPlan | null {
  const states = [...undecidedStates, ...waitingStates, ...changingStates];
  const row = device.database
    .prepare(
      `SELECT * FROM plan WHERE state IN (${states.map(() => '?').join(', ')}) ORDER BY created DESC, changed DESC LIMIT 1`,
    )
    .get(...states) as PlanRow | undefined;
  return row === undefined ? null : stored(row);
}

/** Moves a plan to another state, in the caller's transaction if there is one. */
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
