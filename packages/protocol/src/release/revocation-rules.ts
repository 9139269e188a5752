/**
 * What the list of revocations says about one release. Keys and certificates are judged with the signature they made
 * (`code-signature.ts`), because a revocation with an effective time spares signatures whose time was verified before it.
 */
import semver from 'semver';
import { escapeText } from '../text.ts';
import { releaseError } from './release-errors.ts';
import type { Revocations } from '../channel/revocations.ts';

/** An entry for a certificate or a key: whether it hits a signature made at these verified times. */
export function revocationHits(entry: { readonly effective?: string }, times: readonly Date[]): boolean {
  if (entry.effective === undefined || times.length === 0) return true;
  const effective = Date.parse(entry.effective);
  return times.some((time) => time.getTime() >= effective);
}

/** @throws RELEASE_REVOKED RELEASE_BELOW_MINIMUM */
export function checkNotRevoked(revocations: Revocations, release: string, component: string, version: string): void {
  const revoked = revocations.releases.find((entry) => entry.release === release);
  if (revoked)
    throw releaseError('RELEASE_REVOKED', `${component} ${version} is revoked: ${escapeText(revoked.reason)}`);
  const minimum = Object.hasOwn(revocations.minimum, component) ? revocations.minimum[component] : undefined;
  if (minimum !== undefined && semver.lt(version, minimum))
    throw releaseError('RELEASE_BELOW_MINIMUM', `${component} ${version} is below the minimum ${minimum}`);
}
