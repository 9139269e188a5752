/**
 * Computes the device's plan from what is installed, decided and on offer, and keeps it as the exact bytes that are approved.
 * Invariants: one open plan at a time; a plan that differs from what would be done now is void, and so is its approval. Never
 * installs anything.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  shortDigest,
  messageOf,
  blockedReason,
  checkNotRevoked,
  computePlan,
  planDigest,
  timeText,
  type Omission,
  type Plan,
} from '@countersign/protocol';
import { clearAlert, raiseAlert } from '../device/alerts.ts';
import { transact } from '../device/database.ts';
import { requireLock, type Device } from '../device/device.ts';
import { readSetting, writeSetting, type PlanRequests } from '../device/settings.ts';
import { listDecisions } from '../generations/capability-decisions.ts';
import { pruneDownloads } from '../generations/download-folder.ts';
import { currentGeneration } from '../generations/generations.ts';
import { highestCommitted, listQuarantined } from '../generations/install-history.ts';
import {
  addPlan,
  changingStates,
  openPlan,
  planState,
  plansIn,
  readPlan,
  setPlanState,
  undecidedStates,
  waitingStates,
  type StoredPlan,
} from '../generations/plans.ts';
import { currentOffers, type CurrentOffers } from '../trust/current-offers.ts';
import { denials } from '../trust/policy.ts';
import { isUnreached, lastDocuments, refreshTrust, type TrustDocuments, type TrustView } from '../trust/refresh.ts';
import { recordRefusal } from '../trust/refusals.ts';
import { trustError } from '../trust/trust-errors.ts';
import { acceptedTerms, approvedAt } from './approvals.ts';

export interface DevicePlan {
  readonly plan: Plan;
  readonly digest: string;
  readonly omitted: readonly Omission[];
  /** The releases of the plan's steps, as judged. */
  readonly offers: CurrentOffers;
}

/** How long an approval is valid. */
const approvalMilliseconds = 14 * 24 * 3600_000;

/**
 * Computes the plan and makes it the open one: null when there is nothing to approve. An earlier request stays in force while its
 * plan is open. Records refusals and alerts. The caller holds the device lock.
 * @throws SOURCE_* PLAN_TOO_COMPLEX
 */
export async function computeDevicePlan(
  device: Device,
  view: TrustView,
  asked: PlanRequests = {},
): Promise<DevicePlan | null> {
  requireLock(device);
  const { database } = device;
  lapse(device);
  const offers = await currentOffers(device, view, view);
  warnOfInstalled(device, view);
  const open = openPlan(device);
  // The engine finishes a change that has begun; no new plan replaces it.
  if (open !== null && changingStates.includes(open.state)) return null;
  const isNew = (asked.requests?.length ?? 0) + (asked.removals?.length ?? 0) > 0;
  const before = readSetting(database, 'planRequests');
  const kept = !isNew && before && before.plan === open?.digest && open.state !== 'declined' ? before.asked : null;
  let requests = isNew ? asked : (kept ?? {});
  let result = compute(device, view, offers, requests);
  if (result.plan === null && kept !== null) result = compute(device, view, offers, (requests = {}));
  for (const omission of result.omitted) recordOmission(device, view, omission);
  if (!isDeepStrictEqual(lastOmissions(device), result.omitted)) writeSetting(database, 'omitted', result.omitted);
  const digest = result.plan === null ? null : planDigest(result.plan);
  transact(database, () => {
    // A request that cannot be planned: the open plan stays.
    if (isNew && result.plan === null) return;
    voidOthers(device, digest);
    writeSetting(
      database,
      'planRequests',
      requests === asked || kept !== null ? { plan: digest, asked: requests } : null,
    );
    if (result.plan !== null) offerPlan(device, result.plan, digest!);
  });
  return result.plan === null ? null : { plan: result.plan, digest: digest!, omitted: result.omitted, offers };
}

/** What the last computation left out, and why. */
export const lastOmissions = (device: Device): readonly Omission[] => readSetting(device.database, 'omitted') ?? [];

/**
 * Right before the switch: computes everything again from the newest trust available. `view` is null where no server answers;
 * then the documents that were accepted last count.
 * @throws PLAN_CHANGED PLAN_LAPSED PLAN_NOT_READY SOURCE_*
 */
export async function recheckPlan(device: Device, stored: StoredPlan, view: TrustView | null): Promise<void> {
  const { digest } = stored;
  if (!waitingStates.includes(stored.state))
    throw trustError('PLAN_NOT_READY', `plan ${shortDigest(digest)} is ${stored.state}`);
  if (hasLapsed(device, digest))
    throw trustError('PLAN_LAPSED', `the approval of plan ${shortDigest(digest)} is older than 14 days`);
  const documents = view ?? lastDocuments(device);
  if (documents === null) throw trustError('PLAN_CHANGED', 'this device has no trusted documents to check the plan by');
  const offers = await currentOffers(device, documents, view);
  const before = readSetting(device.database, 'planRequests');
  const asked = before?.plan === digest ? before.asked : {};
  const { plan, omitted } = compute(device, documents, offers, asked);
  for (const omission of omitted) recordOmission(device, documents, omission);
  if (plan === null || planDigest(plan) !== digest) {
    const reasons = [...offers.refusals, ...omitted].map(
      ({ component, version, code }) => `${component} ${version} ${code}`,
    );
    const why = reasons.length === 0 ? '' : ` (${reasons.slice(0, 3).join(', ')})`;
    throw trustError('PLAN_CHANGED', `plan ${shortDigest(digest)} is no longer what would be installed${why}`, {
      context: { reasons },
    });
  }
}

/**
 * For the installer, between unpacking and the switch: refreshes if a server answers, then rechecks the plan. An answer that is
 * refused stops the switch; silence does not. @throws what `recheckPlan` and a refused refresh throw
 */
export async function recheckBeforeSwitch(device: Device, digest: string): Promise<void> {
  let view: TrustView | null = null;
  try {
    view = await refreshTrust(device);
  } catch (error) {
    if (!isUnreached(error)) throw error;
  }
  await recheckPlan(device, readPlan(device, digest), view);
}

function compute(device: Device, documents: TrustDocuments, offers: CurrentOffers, asked: PlanRequests) {
  const { database } = device;
  const current = currentGeneration(device);
  const accepted = acceptedTerms(device);
  return computePlan({
    device: readSetting(database, 'device') ?? '',
    model: readSetting(database, 'model') ?? '',
    generation: current?.number ?? 0,
    installed: current?.components ?? [],
    grants: listDecisions(device),
    candidates: offers.candidates,
    highestCommitted: highestCommitted(device),
    quarantined: new Set(listQuarantined(device).map(({ release }) => release)),
    revocations: documents.revocations,
    blockedReason: (component, version) => blockedReason(documents.channel, component, version),
    denialOf: denials(device),
    approvers: documents.devices.approvers,
    accepted: (component, version) => accepted.has(`${component} ${version}`),
    ...asked,
  });
}

/** Makes every open plan but this one void, with its approval. */
function voidOthers(device: Device, digest: string | null): void {
  const others = plansIn(device, [...undecidedStates, ...waitingStates]).filter((other) => other !== digest);
  for (const other of others)
    setPlanState(device, other, 'void', {
      reason: digest === null ? 'it is no longer on offer' : `it was replaced by ${shortDigest(digest)}`,
    });
  if (others.length > 0) pruneDownloads(device);
}

function offerPlan(device: Device, plan: Plan, digest: string): void {
  if (planState(device, digest) === null) return addPlan(device, plan, digest);
  const { state, until } = readPlan(device, digest);
  const over = state === 'held' && until !== null && until <= timeText(device.clock());
  if (over || ['void', 'lapsed', 'rolled-back'].includes(state)) setPlanState(device, digest, 'offered');
}

/** An approval that waited for 14 days does not count any more. */
function lapse(device: Device): void {
  const open = openPlan(device);
  if (open !== null && waitingStates.includes(open.state) && hasLapsed(device, open.digest))
    setPlanState(device, open.digest, 'lapsed', { reason: 'it was approved more than 14 days ago' });
}

function hasLapsed(device: Device, digest: string): boolean {
  const at = approvedAt(device, digest);
  return at === null || device.clock().getTime() - at.getTime() > approvalMilliseconds;
}

/** Records what the planner refuses, like any other refusal, but not what it merely leaves out. */
function recordOmission(
  device: Device,
  { channel }: TrustDocuments,
  { component, version, code, reason }: Omission,
): void {
  if (!code.startsWith('RELEASE_') || code === 'RELEASE_QUARANTINED') return;
  const offer = channel.offers.find((one) => one.component === component && one.version === version);
  if (offer) recordRefusal(device, { release: offer.release, component, version, code, reason });
}

/** Warns when a running release was blocked or revoked. It keeps running; removing it takes a plan like any other change. */
function warnOfInstalled(device: Device, { channel, revocations }: TrustDocuments): void {
  for (const { component, version, release } of currentGeneration(device)?.components ?? []) {
    const found = new Map<string, string>();
    const blocked = blockedReason(channel, component, version);
    if (blocked !== undefined)
      found.set('INSTALLED_BLOCKED', `installed ${component} ${version} is blocked: ${blocked}`);
    try {
      checkNotRevoked(revocations, release, component, version);
    } catch (error) {
      found.set('INSTALLED_REVOKED', `installed ${component} ${version}: ${messageOf(error)}`);
    }
    for (const code of ['INSTALLED_BLOCKED', 'INSTALLED_REVOKED']) {
      const message = found.get(code);
      if (message === undefined) clearAlert(device, code, component);
      else raiseAlert(device, { code, component, severity: 'critical', message });
    }
  }
}
