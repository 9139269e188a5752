/**
 * Evaluates the vendor's policy for devices for one model. Fail closed: a model that the policy does not name counts as one that
 * holds personal health information. Without a policy that is in date, nothing beyond the last known one is allowed, and its
 * denials stay.
 */
import type { DevicesAuthority } from '../authority/authority.ts';
import type { Capability } from '../release/manifest.ts';
import type { Denial } from './capability-diff.ts';

/** Whether the model holds personal health information. */
const holdsHealthData = (policy: DevicesAuthority, model: string): boolean =>
  !(Object.hasOwn(policy.models, model) && !policy.models[model]!.phi);

const policyExpired = (policy: DevicesAuthority, now: Date): boolean => Date.parse(policy.expires) <= now.getTime();

/**
 * Why a capability may not be granted here; undefined when it may. On a model with health data only what the allow-list names
 * may be offered, and nothing once the policy is out of date.
 */
export function vendorDenial(
  policy: DevicesAuthority,
  model: string,
  component: string,
  capability: Pick<Capability, 'id' | 'contract'>,
  now: Date,
): Denial | undefined {
  const is = (entry: { component: string; capability: string }): boolean =>
    entry.component === component && entry.capability === capability.id;
  if (policy.denied.some(is)) return { by: 'vendor', reason: 'denied on every device' };
  if (!holdsHealthData(policy, model)) return undefined;
  if (policyExpired(policy, now))
    return { by: 'vendor', reason: `not available on ${model}: the policy expired on ${policy.expires}` };
  if (policy.phiAllowed.some((entry) => is(entry) && entry.contract === capability.contract)) return undefined;
  return { by: 'vendor', reason: `not available on ${model}, which holds personal health information` };
}
