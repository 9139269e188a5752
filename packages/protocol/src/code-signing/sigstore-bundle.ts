/**
 * The verdict over one Sigstore bundle of any kind, for one artifact and one expected signer, as the conformance suite of the
 * Sigstore project requires it. It shares its checks with the verdict over a release, which accepts far fewer kinds. Never uses
 * the network; anything thrown is a refusal.
 */
import { Buffer } from 'node:buffer';
import { timingSafeEqual, type KeyObject } from 'node:crypto';
import { bundleFromJSON, type Bundle } from '@sigstore/bundle';
import { toSignedEntity, Verifier, type SignedEntity } from '@sigstore/verify';
import { isCoded, messageOf } from '../error.ts';
import { statementPayloadType } from '../release/statement.ts';
import { checkLeaf } from './certificate-rules.ts';
import { codesignError } from './codesign-errors.ts';
import { readTrustMaterial } from './trust-material.ts';
import { withTrustedTimestamps } from './trusted-timestamp.ts';

/** What was signed: its digests as hex, and a check whether a key's signature over its bytes is valid. */
export interface SignedArtifact {
  readonly digests: Readonly<Partial<Record<'sha256' | 'sha384' | 'sha512', string>>>;
  verify(algorithm: 'sha256' | 'sha384' | 'sha512', key: KeyObject, signature: Buffer): boolean;
}

/** Who must have signed: a certificate's exact identity, or a key. */
export type ExpectedSigner = { readonly san: string; readonly issuer: string } | { readonly key: KeyObject };

const maximumLogEntries = 8;
/** Sigstore's HashAlgorithm by number; 0, unspecified, was used for sha256. */
const algorithms = { 0: 'sha256', 1: 'sha256', 2: 'sha384', 3: 'sha512' } as const;

/** @throws CODESIGN_BUNDLE CODESIGN_CERTIFICATE CODESIGN_IDENTITY CODESIGN_SIGNATURE CODESIGN_TIMESTAMP CODESIGN_TRUST */
export function judgeBundle(
  json: unknown,
  artifact: SignedArtifact,
  trustedRoot: unknown,
  signer: ExpectedSigner,
): void {
  const wrong = (what: string, cause?: unknown): Error => codesignError('CODESIGN_BUNDLE', what, { cause });
  let bundle: Bundle;
  try {
    bundle = bundleFromJSON(json);
  } catch (cause) {
    throw wrong('it is not a valid Sigstore bundle', cause);
  }
  const { content, tlogEntries } = bundle.verificationMaterial;
  if (tlogEntries.length > maximumLogEntries) throw wrong(`it has more than ${maximumLogEntries} log entries`);
  const byKey = 'key' in signer;
  if (byKey !== (content.$case === 'publicKey')) throw wrong(`it is signed by ${byKey ? 'a certificate' : 'a key'}`);
  const leaf = leafOf(content);
  if (leaf) checkLeaf(leaf);
  checkArtifact(bundle, artifact);
  const material = readTrustMaterial(trustedRoot, 'the bundle', byKey ? signer.key : undefined);
  const thresholds = byKey
    ? { tlogThreshold: Math.min(1, tlogEntries.length), ctlogThreshold: 0, timestampThreshold: 0 }
    : { tlogThreshold: 1, ctlogThreshold: 1, timestampThreshold: 1 };
  try {
    const { identity } = new Verifier(material, thresholds).verify(entityOf(bundle, artifact));
    if (byKey) return;
    if (identity?.subjectAlternativeName !== signer.san || identity.extensions?.issuer !== signer.issuer)
      throw codesignError('CODESIGN_IDENTITY', 'it is signed by somebody else than expected');
  } catch (cause) {
    if (isCoded(cause)) throw cause;
    const words = messageOf(cause);
    throw codesignError('CODESIGN_SIGNATURE', `the signature does not hold: ${words}`, { cause });
  }
}

function leafOf(content: Bundle['verificationMaterial']['content']): Buffer | null {
  if (content.$case === 'certificate') return Buffer.from(content.certificate.rawBytes);
  if (content.$case === 'x509CertificateChain')
    return Buffer.from(content.x509CertificateChain.certificates[0]!.rawBytes);
  return null;
}

/** The artifact is what the message's digest or the statement's subject says. @throws CODESIGN_BUNDLE */
function checkArtifact({ content }: Bundle, { digests }: SignedArtifact): void {
  const wrong = (what: string): Error => codesignError('CODESIGN_BUNDLE', what);
  if (content.$case === 'messageSignature') {
    const { algorithm, digest } = content.messageSignature.messageDigest;
    const name = algorithms[algorithm as keyof typeof algorithms] as (typeof algorithms)[0] | undefined;
    if (name === undefined || digests[name] === undefined) throw wrong(`the digest of kind ${algorithm} is not known`);
    if (!isSame(digest, Buffer.from(digests[name], 'hex'))) throw wrong('it signs another artifact');
    return;
  }
  const { payloadType, payload } = content.dsseEnvelope;
  if (payloadType !== statementPayloadType) throw wrong('it signs something else than an in-toto statement');
  const { subject } = JSON.parse(payload.toString('utf8')) as { subject?: { digest?: Record<string, string> }[] };
  const isOurs = (digest: Record<string, string> = {}): boolean => {
    const known = Object.entries(digests).filter(([name]) => Object.hasOwn(digest, name));
    return known.length > 0 && known.every(([name, value]) => digest[name] === value);
  };
  if (!Array.isArray(subject) || !subject.some(({ digest }) => isOurs(digest)))
    throw wrong('the artifact is not a subject of the statement');
}

function entityOf(bundle: Bundle, artifact: SignedArtifact): SignedEntity {
  const entity = withTrustedTimestamps(toSignedEntity(bundle));
  if (bundle.content.$case !== 'messageSignature') return entity;
  const { signature, messageDigest } = bundle.content.messageSignature;
  const algorithm = algorithms[messageDigest.algorithm as keyof typeof algorithms];
  return {
    ...entity,
    signature: {
      signature,
      compareSignature: (other) => isSame(other, signature),
      compareDigest: (other) => isSame(other, messageDigest.digest),
      compareSignedDigest: (other) => isSame(other, messageDigest.digest),
      verifySignature: (key) => artifact.verify(algorithm, key, signature),
    },
  };
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);
