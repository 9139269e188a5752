/**
 * `revocations/revocations.json`: what is no longer trusted, and whether that refuses one release. Revoked keys and certificates
 * are judged together with the signature they made (`code-signing/code-signature.ts`): a revocation with an effective time spares
 * signatures whose time was verified before it.
 */
import semver from 'semver';
import Type, { type Static } from 'typebox';
import { releaseError } from '../release/release-errors.ts';
import { format } from '../schema.ts';
import { closed, ComponentName, Reason, Sha256, Time, Version, MapOf, escapeText } from '../text.ts';

/** Revokes signatures with a verified time at or after it, and every signature without one. Absent: revokes all. */
const effective = Type.Optional(Time);

export const revocationsType = 'https://countersign.dev/revocations/v1';

export const Revocations = Type.Object(
  {
    _type: Type.Literal(revocationsType),
    certificates: Type.Array(
      Type.Object({ /** of its tbsCertificate: what the CA signed */ tbs: Sha256, effective, reason: Reason }, closed),
      { maxItems: 10_000 },
    ),
    keys: Type.Array(Type.Object({ /** sha256 of the SPKI */ spki: Sha256, effective, reason: Reason }, closed), {
      maxItems: 10_000,
    }),
    /** sha256 of the statement. */
    releases: Type.Array(Type.Object({ release: Sha256, reason: Reason }, closed), { maxItems: 10_000 }),
    /** No lower version is installed, not even by a manual rollback. */
    minimum: MapOf(ComponentName, Version, { maxProperties: 1000 }),
  },
  closed,
);
export type Revocations = Static<typeof Revocations>;
export const revocationsFormat = format('revocations', Revocations, 4 << 20);
export const revocationsPath = 'revocations/revocations.json';

export const noRevocations: Revocations = Object.freeze({
  _type: revocationsType,
  certificates: [],
  keys: [],
  releases: [],
  minimum: {},
});

/** Whether an entry for a certificate or a key revokes a signature made at these verified times. */
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
