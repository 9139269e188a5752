/**
 * The code-signing verdict: does this release carry the signatures that the codesign chain demands? Each bundle is verified
 * against one authority of the chain at a time, and can then only count as an identity of that authority. A bundle that fails
 * verification never counts; anything that the verifier throws is a refusal. Never uses the network.
 */
import { Buffer } from 'node:buffer';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import type { CodesignAuthority, Identity } from '../authority/authority.ts';
import { preAuthEncoding } from '../authority/dsse.ts';
import { revocationHits, type Revocations } from '../channel/revocations.ts';
import { messageOf, codeOf } from '../error.ts';
import { keyMaterial, verifySignature } from '../public-key.ts';
import {
  checkStatement,
  statementFormat,
  statementPayloadType,
  type ReleaseName,
  type Statement,
} from '../release/statement.ts';
import { escapeText, sha256 } from '../text.ts';
import type { ReleaseBundle, ReleaseBundles } from './bundles.ts';
import { checkLeaf, type LeafCertificate } from './certificate-rules.ts';
import { codesignError } from './codesign-errors.ts';
import { matchRoles, type Matching } from './threshold-matching.ts';
import { readTrustMaterial } from './trust-material.ts';
import { withTrustedTimestamps } from './trusted-timestamp.ts';

/** A signature that was verified and may count. */
export interface CodeSignature {
  /** Its id in the codesign chain. */
  readonly identity: string;
  readonly kind: Identity['type'];
  /** sha256 of the signing key's SPKI. */
  readonly spki: string;
  /** Verified signing times; none for a pinned key. */
  readonly times: readonly Date[];
}

/** A statement that carries every code signature it needs. */
export interface SignedStatement {
  readonly statement: Statement;
  /** The exact bytes that were signed. */
  readonly statementBytes: Buffer;
  /** Their sha256. */
  readonly release: string;
  readonly signatures: readonly CodeSignature[];
  /** Identities by the role they fill. */
  readonly roles: Readonly<Record<string, readonly string[]>>;
}

export interface SignaturesInput {
  readonly bundles: ReleaseBundles;
  readonly authority: CodesignAuthority;
  readonly revocations: Revocations;
  readonly expected: ReleaseName;
}

/** Who signed, by the signatures that count, and which roles are still short of signers. */
export interface Weighed extends Matching {
  readonly signatures: readonly CodeSignature[];
  /** For each bundle that does not count, which one and why. */
  readonly refused: readonly string[];
}

/**
 * Judges the signatures of a release against what its component needs, even when some are missing. Does not read what they sign.
 * @throws CODESIGN_RULE CODESIGN_TRUST
 */
export function weighSignatures({
  bundles,
  authority,
  revocations,
  component,
}: Omit<SignaturesInput, 'expected'> & { readonly component: string }): Weighed {
  const rules = ruleFor(authority, component);
  const signatures: CodeSignature[] = [];
  const refused: string[] = [];
  for (const [index, bundle] of bundles.entries()) {
    try {
      signatures.push(verifyBundle(bundle, authority, revocations));
    } catch (error) {
      if (codeOf(error) === 'CODESIGN_TRUST') throw error;
      refused.push(
        `bundle ${index + 1}: ${codeOf(error) ?? 'CODESIGN_SIGNATURE'} ${escapeText(messageOf(error), 300)}`,
      );
    }
  }
  return { signatures, refused, ...matchRoles(signatures, rules) };
}

/**
 * Judges the code signatures of a release and what they sign. `judgeRelease` makes all other checks.
 * @throws CODESIGN_*, RELEASE_STATEMENT, RELEASE_MANIFEST, FORMAT_*
 */
export function judgeSignatures({ expected, ...input }: SignaturesInput): SignedStatement {
  const { signatures, refused, filled, short } = weighSignatures({ ...input, component: expected.component });
  if (short.length > 0) {
    const words = short.map(({ role, have, need }) => `role ${role} has ${have} of ${need} signatures`).join(', ');
    throw codesignError(
      'CODESIGN_THRESHOLD',
      `${expected.component} ${expected.version}: ${words}${refused.length > 0 ? `; not counted: ${refused.join('; ')}` : ''}`,
      {
        context: { refused },
      },
    );
  }
  // Parsed only after its signatures were verified.
  const statementBytes = input.bundles[0].statement;
  const statement = statementFormat.parse(statementBytes, `the statement of ${expected.component} ${expected.version}`);
  checkStatement(statement, expected);
  return { statement, statementBytes, release: sha256(statementBytes), signatures, roles: filled };
}

function ruleFor(authority: CodesignAuthority, component: string): CodesignAuthority['components'][string] {
  const rules = Object.hasOwn(authority.components, component)
    ? authority.components[component]
    : Object.hasOwn(authority.components, '*')
      ? authority.components['*']
      : undefined;
  if (!rules) throw codesignError('CODESIGN_RULE', `the codesign chain has no rule for ${component}`);
  return rules;
}

/** One bundle against the chain. @throws CODESIGN_* */
function verifyBundle(bundle: ReleaseBundle, authority: CodesignAuthority, revocations: Revocations): CodeSignature {
  return bundle.material.kind === 'key'
    ? verifyByKey(bundle, bundle.material.hint, authority, revocations)
    : verifyByCertificate(bundle, bundle.material.der, authority, revocations);
}

/** The hint of a pinned key in a bundle: base64 of the SPKI's sha256. */
export const keyHint = (spki: string): string => Buffer.from(spki, 'hex').toString('base64');

function verifyByKey(
  bundle: ReleaseBundle,
  hint: string,
  authority: CodesignAuthority,
  revocations: Revocations,
): CodeSignature {
  for (const [id, identity] of Object.entries(authority.identities)) {
    if (identity.type !== 'key') continue;
    const spki = keyMaterial(identity.publicKey);
    if (spki === null || keyHint(spki) !== hint) continue;
    const signed = preAuthEncoding(statementPayloadType, bundle.statement);
    if (!verifySignature(identity.publicKey, signed, bundle.signature.toString('hex')))
      throw codesignError('CODESIGN_SIGNATURE', `the signature of ${id} does not hold`);
    // Nobody vouches for the time of a pinned key's signature, so every revocation of the key applies.
    checkKeyNotRevoked(spki, [], revocations);
    return { identity: id, kind: 'key', spki, times: [] };
  }
  throw codesignError('CODESIGN_IDENTITY', 'the key that signed is nobody’s in the codesign chain');
}

function verifyByCertificate(
  bundle: ReleaseBundle,
  der: Buffer,
  authority: CodesignAuthority,
  revocations: Revocations,
): CodeSignature {
  const leaf = checkLeaf(der);
  let failure: unknown;
  for (const [name, { kind, trustedRoot }] of Object.entries(authority.authorities)) {
    const material = readTrustMaterial(trustedRoot, `authority ${name}`);
    let verified: Verified;
    try {
      verified = verifyChain(bundle, kind, material);
    } catch (error) {
      // A refusal for what the bundle itself says tells the reader more than "not of that authority".
      failure ??= error;
      continue;
    }
    const found = Object.entries(authority.identities).find(([, identity]) => matches(identity, name, leaf, verified));
    if (!found)
      throw codesignError(
        'CODESIGN_IDENTITY',
        `${escapeText(Object.values(leaf.subject).join(', '), 200)} of ${name} is nobody in the codesign chain`,
      );
    checkKeyNotRevoked(leaf.spki, verified.times, revocations);
    const revoked = revocations.certificates.find(
      (entry) => entry.tbs === leaf.tbs && revocationHits(entry, verified.times),
    );
    if (revoked)
      throw codesignError('CODESIGN_REVOKED', `the certificate that signed is revoked: ${escapeText(revoked.reason)}`);
    return { identity: found[0], kind, spki: leaf.spki, times: verified.times };
  }
  if (codeOf(failure)?.startsWith('CODESIGN_')) throw failure;
  throw codesignError(
    'CODESIGN_SIGNATURE',
    `the signature leads to no authority of the codesign chain: ${failure instanceof Error ? escapeText(failure.message, 200) : 'there is none'}`,
    { cause: failure },
  );
}

interface Verified {
  readonly times: readonly Date[];
  readonly issuer: string | undefined;
  readonly san: string | undefined;
}

/**
 * The library verifies signature, certificate path and times, with the thresholds of this kind. Throws what the library throws.
 */
function verifyChain(
  { bundle }: ReleaseBundle,
  kind: 'x509' | 'keyless',
  material: ReturnType<typeof readTrustMaterial>,
): Verified {
  const entity = withTrustedTimestamps(toSignedEntity(bundle));
  const stamped = entity.timestamps.filter(({ $case }) => $case === 'timestamp-authority').length;
  if (kind === 'x509') {
    // Only a timestamp lets a signature outlive its certificate. Commercial CAs do not use log entries as proof.
    if (stamped === 0) throw codesignError('CODESIGN_TIMESTAMP', 'the signature has no RFC 3161 timestamp');
    if (entity.tlogEntries.length > 0)
      throw codesignError('CODESIGN_BUNDLE', 'the bundle has a transparency log entry beside a CA certificate');
  }
  const logs = kind === 'keyless' ? 1 : 0;
  const signer = new Verifier(material, { tlogThreshold: logs, ctlogThreshold: logs, timestampThreshold: 1 }).verify(
    entity,
  );
  const times = entity.timestamps.flatMap((entry) => {
    if (entry.$case === 'timestamp-authority') return [entry.timestamp.signingTime];
    return entry.tlogEntry.inclusionPromise ? [new Date(Number(entry.tlogEntry.integratedTime) * 1000)] : [];
  });
  return { times, issuer: signer.identity?.extensions?.issuer, san: signer.identity?.subjectAlternativeName };
}

function matches(identity: Identity, authority: string, leaf: LeafCertificate, { issuer, san }: Verified): boolean {
  if (identity.type === 'key') return false;
  if (identity.authority !== authority) return false; // check: names count only below the CA that the chain names beside them
  // checks: who the identity provider is, and whom it vouched for
  if (identity.type === 'keyless') return issuer === identity.issuer && san === identity.san;
  return (
    // checks: through which issuing CA, and every name that the chain gives
    leaf.issuer === identity.issuer &&
    Object.entries(identity.subject).every(([name, value]) => leaf.subject[name] === value)
  );
}

function checkKeyNotRevoked(spki: string, times: readonly Date[], revocations: Revocations): void {
  const revoked = revocations.keys.find((entry) => entry.spki === spki && revocationHits(entry, times));
  if (revoked) throw codesignError('CODESIGN_REVOKED', `the key that signed is revoked: ${escapeText(revoked.reason)}`);
}
