/**
 * Combines a plan with its complete approval: the steps that are carried out, what each grants and keeps off, and the signed
 * statements of their releases. The download, both verifiers and the installer work from this one value.
 */
import {
  decidePlan,
  sha256,
  shortDigest,
  statementFormat,
  type DecidedPlan,
  type Manifest,
  type Plan,
  type Statement,
} from '@countersign/protocol';
import { readApproval } from '../consent/approvals.ts';
import type { Device } from '../device/device.ts';
import { currentGeneration, installedStatement } from '../generations/generations.ts';
import { readPlan, waitingStates } from '../generations/plans.ts';
import { keptRelease } from '../trust/kept-releases.ts';
import { trustError } from '../trust/trust-errors.ts';

/** The exact bytes that were signed, and what they say. */
export interface PlanStatement {
  readonly bytes: Uint8Array;
  readonly statement: Statement;
}

/** A plan with the approval's answers, and the signed statement of each step's release. */
export interface DecidedInstall extends DecidedPlan {
  readonly digest: string;
  readonly plan: Plan;
  readonly statements: ReadonlyMap<string, PlanStatement>;
}

/** Combines the plan with its approval. @throws APPROVAL_PLAN_UNKNOWN PLAN_NOT_READY */
export function decideInstall(device: Device, digest: string): DecidedInstall {
  const { plan, state } = readPlan(device, digest);
  const approval = readApproval(device, digest);
  if (approval === null || !waitingStates.includes(state))
    throw trustError('PLAN_NOT_READY', `plan ${shortDigest(digest)} is ${state}, expected is an approved one`);
  const statements = new Map<string, PlanStatement>();
  for (const { component, to } of plan.steps)
    if (to !== null) statements.set(component, readStatement(device, component, to.release));
  const installed = new Map<string, Manifest>(
    currentGeneration(device)?.components.map(({ component, manifest }) => [component, manifest]),
  );
  const planned = new Map([...statements].map(([name, { statement }]) => [name, statement.predicate.manifest]));
  return { digest, plan, statements, ...decidePlan(plan, approval.record.decisions, installed, planned) };
}

/** The statement that was judged when the release was offered, or that of the running release, found by the digest in the plan. */
function readStatement(device: Device, component: string, release: string): PlanStatement {
  const bytes = keptRelease(device, release)?.statement ?? installedStatement(device, release);
  // The plan digest binds the release digest; this check binds the bytes.
  if (bytes === null || sha256(bytes) !== release)
    throw trustError('PLAN_NOT_READY', `the statement of ${component} is not the one that the plan names`);
  return { bytes, statement: statementFormat.parse(bytes, `the statement of ${component}`) };
}
