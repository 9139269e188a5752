/**
 * Decides which capabilities are open: declared by the running release, granted, not revoked, not denied by any policy, and
 * asking for no more than what was granted. Fail closed: anything in doubt is off.
 */
import type { Manifest } from '../release/manifest.ts';
import type { Scope } from '../text.ts';
import type { DenialOf, Grant } from './capability-diff.ts';
import { compareScopes } from './scope.ts';

export interface EffectiveCapability {
  readonly id: string;
  readonly contract: number;
  /** What the running release declares; never more than what was granted. */
  readonly scope: Scope;
}

export function effectiveCapabilities(
  manifest: Manifest,
  grants: readonly Grant[],
  denialOf: DenialOf,
): EffectiveCapability[] {
  return manifest.capabilities
    .filter((capability) => {
      const grant = grants.find((candidate) => candidate.capability === capability.id);
      // checks: each of them closes the capability
      return (
        grant?.state === 'granted' &&
        grant.contract === capability.contract &&
        compareScopes(grant.scope, capability.scope) !== 'widened' &&
        denialOf(capability) === undefined
      );
    })
    .map(({ id, contract, scope }) => ({ id, contract, scope }));
}
