/**
 * The planner: computes the one plan that a technician is asked, from what is installed, granted and on offer. Deterministic:
 * equal input gives equal bytes. It picks the newest set of releases that satisfies every `requires`, and gives a coded reason
 * for each offer it leaves out. Must never plan what a policy denies, nor ask for what is not on offer.
 */
import semver from 'semver';
import { checkNotRevoked } from '../channel/revocations.ts';
import { messageOf, codeOf } from '../error.ts';
import { sha256 } from '../text.ts';
import { diffCapabilities } from './capability-diff.ts';
import type { Candidate, Omission, PlanInput } from './plan-input.ts';
import { planFormat, planType, type Plan, type PlanStep } from './plan.ts';
import { chooseReleases, type Choice } from './release-choice.ts';

export interface Planned {
  /** Null where there is nothing to approve. */
  readonly plan: Plan | null;
  readonly omitted: readonly Omission[];
}

/** @throws PLAN_TOO_COMPLEX */
export function computePlan(input: PlanInput): Planned {
  const { installed, requests = [], removals = [] } = input;
  const omitted: Omission[] = [];
  const special = requests.length > 0 || removals.length > 0;
  const candidates = special ? [] : input.candidates.filter((candidate) => usable(input, candidate, omitted));
  for (const component of [...requests.map((request) => request.component), ...removals])
    if (!installed.some((entry) => entry.component === component))
      omitted.push({ component, version: '', code: 'PLAN_NOT_INSTALLED', reason: 'it is not installed' });
  const chosen = chooseReleases(installed, candidates, new Set(removals));
  omitted.push(...chosen.omitted);
  const steps = [...chosen.choices]
    .map(([component, choice]) => stepFor(input, component, choice, omitted))
    .filter((step) => step !== null)
    .sort((a, b) => (a.component < b.component ? -1 : 1));
  omitted.sort((a, b) => (`${a.component} ${a.version} ${a.code}` < `${b.component} ${b.version} ${b.code}` ? -1 : 1));
  if (steps.length === 0) return { plan: null, omitted };
  const { device, model, generation: fromGeneration, approvers } = input;
  return { plan: { _type: planType, device, model, fromGeneration, steps, approvers }, omitted };
}

/** sha256 of the plan's RFC 8785 bytes. */
export const planDigest = (plan: Plan): string => sha256(planFormat.serialize(plan));

/** Whether a candidate may be planned at all; notes why not. */
function usable(input: PlanInput, { offer, manifest }: Candidate, omitted: Omission[]): boolean {
  const { component, version, release } = offer;
  const omit = (code: string, reason: string): false => {
    omitted.push({ component, version, code, reason });
    return false;
  };
  const current = input.installed.find((entry) => entry.component === component);
  if (current?.release === release) return false;
  const blocked = input.blockedReason(component, version);
  if (blocked !== undefined) return omit('RELEASE_BLOCKED', blocked); // check: blocked by the channel
  try {
    checkNotRevoked(input.revocations, release, component, version);
  } catch (error) {
    return omit(codeOf(error) ?? 'RELEASE_REVOKED', messageOf(error));
  }
  if (input.quarantined.has(release)) return omit('RELEASE_QUARANTINED', 'it failed on this device'); // check: failed here
  if (!manifest.models.includes('*') && !manifest.models.includes(input.model))
    return omit('PLAN_MODEL', `it is not for ${input.model}`); // check: other model
  if (current && semver.eq(current.version, version))
    return omit('PLAN_SAME_VERSION', 'another release of the installed version'); // check: one version, two releases
  const highest = Object.hasOwn(input.highestCommitted, component) ? input.highestCommitted[component] : undefined;
  if (highest !== undefined && semver.lt(version, highest) && offer.downgrade !== true)
    return omit('PLAN_DOWNGRADE', `it is older than ${highest}, which was installed here`); // check: downgrade
  for (const capability of manifest.capabilities) {
    const denial = capability.required ? input.denialOf(component, capability) : undefined;
    if (denial) return omit('PLAN_REQUIRED_DENIED', `it needs ${capability.id}, ${denial.reason}`); // check: needs what is denied
  }
  return true;
}

function stepFor(input: PlanInput, component: string, choice: Choice, omitted: Omission[]): PlanStep | null {
  const current = input.installed.find((entry) => entry.component === component);
  const from = current ? { version: current.version, platform: current.platform, release: current.release } : null;
  const grants = input.grants.filter((grant) => grant.component === component);
  const requested = new Set(
    (input.requests ?? []).filter((request) => request.component === component).map(({ capability }) => capability),
  );
  const base = { component, from };
  if (choice.kind === 'remove')
    return {
      ...base,
      action: 'remove',
      to: null,
      urgency: 'routine',
      rollback: 'safe',
      decisions: [],
      kept: [],
      off: [],
      denied: [],
      closed: grants
        .filter(({ state }) => state === 'granted')
        .map(({ capability }) => capability)
        .sort(),
    };
  const manifest = choice.kind === 'candidate' ? choice.candidate.manifest : current?.manifest;
  if (manifest === undefined || choice.kind === 'absent' || (choice.kind === 'keep' && requested.size === 0))
    return null;
  const diff = diffCapabilities(manifest, grants, (capability) => input.denialOf(component, capability), requested);
  if (choice.kind === 'keep') {
    // Granting later: the same release, only what was asked for.
    const decisions = diff.decisions.filter(({ capability }) => requested.has(capability));
    if (decisions.length === 0) {
      const denied = diff.denied.find(({ capability }) => requested.has(capability));
      omitted.push({
        component,
        version: manifest.version,
        code: 'PLAN_NOTHING_TO_ASK',
        reason: denied?.reason ?? 'what was requested is granted or not declared',
      });
      return null;
    }
    return {
      ...base,
      action: 'regrant',
      to: from,
      urgency: 'routine',
      rollback: manifest.rollback,
      ...diff,
      decisions,
    };
  }
  const { offer, terms } = choice.candidate;
  const to = { version: offer.version, platform: offer.platform, release: offer.release };
  const action = current === undefined ? 'install' : semver.lt(offer.version, current.version) ? 'downgrade' : 'update';
  const asksTerms = manifest.terms !== undefined && !input.accepted(component, manifest.terms.version);
  return {
    ...base,
    action,
    to,
    urgency: offer.urgency,
    rollback: manifest.rollback,
    ...diff,
    ...(asksTerms ? { terms: { version: manifest.terms!.version, texts: { ...terms } } } : {}),
  };
}
