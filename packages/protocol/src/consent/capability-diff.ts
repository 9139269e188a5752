/**
 * Compares what a release asks for with what this device has granted, never with the previous manifest. A capability is asked
 * when it is new here, reaches further, means something else or is riskier. It stays granted without a question only when it is
 * provably not more than what was granted. A refusal is remembered; the capability is asked again only after such a change.
 */
import type { Capability, Manifest } from '../release/manifest.ts';
import type { Scope } from '../text.ts';
import type { CapabilityChange, Decision, PlanStep } from './plan.ts';
import { compareScopes } from './scope.ts';

/** granted: in force. declined, revoked: a person keeps it off. suspended: a rollback took it back. */
export type GrantState = 'granted' | 'declined' | 'revoked' | 'suspended';

export interface Grant {
  readonly component: string;
  readonly capability: string;
  readonly contract: number;
  readonly risk: Capability['risk'];
  readonly scope: Scope;
  readonly state: GrantState;
}

/** Who denies a capability here, and why. */
export type Denial = { readonly by: 'vendor' | 'site'; readonly reason: string };
export type DenialOf = (capability: Capability) => Denial | undefined;

export type CapabilityDiff = Pick<PlanStep, 'decisions' | 'kept' | 'off' | 'denied' | 'closed'>;

const riskOrder = { standard: 0, high: 1, phi: 2 } as const;

/** How a declared capability goes beyond what was decided; null when it does not. */
function changeOf(declared: Capability, decided: Grant): CapabilityChange | null {
  if (declared.contract !== decided.contract) return 'contract-changed'; // check: another meaning
  if (compareScopes(decided.scope, declared.scope) === 'widened') return 'widened'; // check: reaches further
  if (riskOrder[declared.risk] > riskOrder[decided.risk]) return 'risk-raised'; // check: riskier
  return null;
}

/**
 * The diff of one component. `decided` holds the latest decision of each capability; `requested` are those the technician asked
 * for; those are asked even if they were refused before.
 */
export function diffCapabilities(
  manifest: Manifest,
  decided: readonly Grant[],
  denialOf: DenialOf,
  requested: ReadonlySet<string> = new Set(),
): CapabilityDiff {
  const latest = new Map(decided.map((grant) => [grant.capability, grant]));
  const diff = {
    decisions: [] as Decision[],
    kept: [] as PlanStep['kept'],
    off: [] as string[],
    denied: [] as PlanStep['denied'],
    closed: [] as string[],
  };
  for (const capability of [...manifest.capabilities].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const { id, contract, risk, scope, required } = capability;
    const denial = denialOf(capability);
    const before = latest.get(id);
    if (denial) {
      diff.denied.push({ capability: id, ...denial });
      continue; // check: denied
    }
    const change = before ? changeOf(capability, before) : 'new';
    const granted = before?.state === 'granted';
    const asked = requested.has(id) && !granted ? 'requested' : change;
    if (asked === null && granted) diff.kept.push({ capability: id, contract, risk, scope });
    // A required capability that was refused is asked again: without it the component cannot be installed at all.
    else if (asked === null && !required) diff.off.push(id);
    else
      diff.decisions.push({
        capability: id,
        contract,
        risk,
        scope,
        required,
        change: asked ?? 'requested',
        ...(granted ? { before: { contract: before.contract, risk: before.risk, scope: before.scope } } : {}),
      });
  }
  const declared = new Set(manifest.capabilities.map(({ id }) => id));
  for (const grant of decided)
    if (grant.state === 'granted' && !declared.has(grant.capability)) diff.closed.push(grant.capability);
  diff.closed.sort();
  return diff;
}
