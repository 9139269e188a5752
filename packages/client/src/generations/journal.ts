/**
 * The journal: one job row during a change, which says how far it got, and a line for each step's intent, end or failure.
 * Invariants: a phase is entered in the same transaction as the state it stands for; every phase may be entered again after a
 * crash and does the same; a budget limits how often phases are entered, so that nothing loops for ever.
 */
import { timeText } from '@countersign/protocol';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import type { ProcessIdentity } from '../platform/processes.ts';
import type { CapabilityDecision } from './capability-decisions.ts';
import { engineError } from './engine-errors.ts';

/**
 * staging: unpacking, rows being prepared. stopping: the old components stop. starting: the new generation is current and its
 * components start. probation: they are asked for their health. rolling-back: the new ones stop. restarting: the old
 * generation is current again and its components start.
 */
export type Phase = 'staging' | 'stopping' | 'starting' | 'probation' | 'rolling-back' | 'restarting';

export interface Failure {
  readonly code: string;
  readonly component: string;
  readonly message: string;
  /** Releases to quarantine. */
  readonly releases: readonly string[];
}

/** What an interrupted change needs to know to go on; JSON in the job's row. */
export interface JobDetail {
  /** The `current` row when the change began; null: nothing was installed. */
  readonly from: { readonly generation: number; readonly previous: number | null } | null;
  /** Components whose rows differ between the two generations. */
  readonly changed: readonly string[];
  /** The plan's state before the switch began. */
  readonly planState: string | null;
  /** Decisions about the changed components before the switch. */
  readonly before: readonly CapabilityDecision[];
  /** "component/capability" that the change grants. */
  readonly granting: readonly string[];
  /** "component/capability" revoked during the change. */
  readonly revoked: readonly string[];
  readonly failure: Failure | null;
  /** The hook that was last started. */
  readonly hook: ProcessIdentity | null;
}

export interface Job {
  readonly id: number;
  readonly kind: 'install' | 'rollback';
  /** Digest of the plan that is installed; in a rollback, of the plan whose generation is left. */
  readonly plan: string;
  /** The generation that is to become current. */
  readonly generation: number;
  readonly phase: Phase;
  readonly detail: JobDetail;
  readonly transitions: number;
}

/** Phases that may be entered on the way forward: four are a whole change, the others are interruptions. */
export const forwardBudget = 8;
/** On the way back: beyond it the old generation is made current without asking its hooks. */
export const totalBudget = 16;

export function openJob(device: Device): Job | null {
  const row = device.database
    .prepare('SELECT id, kind, plan, generation, phase, detail, transitions FROM job ORDER BY id LIMIT 1')
    .get() as (Omit<Job, 'detail'> & { detail: string }) | undefined;
  return row === undefined ? null : { ...row, detail: JSON.parse(row.detail) as JobDetail };
}

/** @throws INSTALL_UNFINISHED while another change is under way */
export function beginJob(device: Device, job: Pick<Job, 'kind' | 'plan' | 'generation' | 'phase' | 'detail'>): Job {
  const { database } = device;
  const open = openJob(device);
  if (open) throw engineError('INSTALL_UNFINISHED', `a change to generation ${open.generation} is at ${open.phase}`);
  const now = timeText(device.clock());
  const { id } = database
    .prepare(
      'SELECT max(coalesce((SELECT max(job) FROM journal), 0), coalesce((SELECT max(id) FROM job), 0)) + 1 AS id',
    )
    .get() as { id: number };
  database
    .prepare('INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)')
    .run(id, job.kind, job.plan, job.generation, job.phase, JSON.stringify(job.detail), now, now);
  note(device, id, job.phase, 'intent', job.plan);
  return openJob(device)!;
}

/** Call inside the transaction that makes it true. Entering the phase again after a crash also counts. */
export function enterPhase(device: Device, job: Job, phase: Phase, changes: Partial<JobDetail> = {}): Job {
  const detail = { ...openJob(device)!.detail, ...changes };
  device.database
    .prepare('UPDATE job SET phase = ?, detail = ?, transitions = transitions + 1, changed = ? WHERE id = ?')
    .run(phase, JSON.stringify(detail), timeText(device.clock()), job.id);
  note(device, job.id, phase, 'intent', job.plan);
  return openJob(device)!;
}

/** Call inside the transaction that ends the change. */
export function endJob(device: Device, job: Job, outcome: string): void {
  note(device, job.id, outcome, 'done', job.plan);
  device.database.prepare('DELETE FROM job WHERE id = ?').run(job.id);
}

/** Writes a line of the journal. */
export function note(
  device: Device,
  job: number,
  step: string,
  mark: 'intent' | 'done' | 'failed',
  detail?: string,
): void {
  device.database
    .prepare('INSERT INTO journal (job, step, mark, detail, at) VALUES (?, ?, ?, ?, ?)')
    .run(job, step, mark, detail ?? null, timeText(device.clock()));
}

function updateDetail(device: Device, changes: Partial<JobDetail>): void {
  const job = openJob(device);
  if (!job) return;
  device.database
    .prepare('UPDATE job SET detail = ? WHERE id = ?')
    .run(JSON.stringify({ ...job.detail, ...changes }), job.id);
}

/** Records a hook's process, so that the next start can end it if it outlives us. */
export const noteHook = (device: Device, hook: ProcessIdentity): void =>
  transact(device.database, () => updateDetail(device, { hook }));

/** Call inside the revocation's transaction. True when an unfinished change would have granted the capability; now it will not. */
export function noteRevocation(device: Device, component: string, capability: string): boolean {
  const job = openJob(device);
  const name = `${component}/${capability}`;
  if (!job || !job.detail.granting.includes(name)) return false;
  updateDetail(device, { revoked: [...job.detail.revoked, name] });
  return true;
}

/** How often a switch by this plan was begun since a person last restarted it after INSTALL_LOOP. */
export function countAttempts(device: Device, plan: string): number {
  const { count } = device.database
    .prepare(
      `SELECT count(*) AS count FROM journal WHERE step = 'stopping' AND mark = 'intent' AND detail = ?1
       AND sequence > coalesce((SELECT max(sequence) FROM journal WHERE step = 'loop' AND detail = ?1), 0)`,
    )
    .get(plan) as { count: number };
  return count;
}

const keptLines = 5000;

/** Removes old lines, but keeps those of the unfinished job. */
export function trimJournal(device: Device): void {
  device.database
    .prepare(
      'DELETE FROM journal WHERE sequence <= (SELECT max(sequence) FROM journal) - ? AND job NOT IN (SELECT id FROM job)',
    )
    .run(keptLines);
}
