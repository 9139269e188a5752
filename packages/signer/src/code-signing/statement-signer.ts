/**
 * Signs a release statement as a Sigstore v0.3 bundle: by an X.509 certificate with an RFC 3161 timestamp, or by a pinned key for
 * tests and bootstrap. The private key is a port, so that it may live in a file, a token or a vault.
 */
import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import {
  messageOf,
  canonicalBytes,
  checkLeaf,
  codeOf,
  keyHint,
  keyMaterial,
  spkiOf,
  statementPayloadType,
  type PublicKey,
} from '@countersign/protocol';
import { bundleToJSON } from '@sigstore/bundle';
import { DSSEBundleBuilder, type Signer, type Witness } from '@sigstore/sign';
import { codeSigningError } from './code-signing-errors.ts';
import { trustedTimestampWitness } from './trusted-timestamp-witness.ts';

/** Signs bytes with SHA-256: ECDSA as DER, RSA as PKCS#1 v1.5. */
export type RawSign = (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array;

export interface CertificateSigner {
  readonly kind: 'certificate';
  /** PEM, the leaf first. */
  readonly certificates: string;
  readonly publicKey: KeyObject;
  readonly sign: RawSign;
  readonly timestampUrl: string;
}

export interface KeySigner {
  readonly kind: 'key';
  readonly publicKey: PublicKey;
  readonly sign: RawSign;
}

/** One line of the release's bundle file, with its newline. @throws SIGN_CERTIFICATE SIGN_KEY SIGN_TIMESTAMP */
export async function signStatement(
  statement: Uint8Array,
  signer: CertificateSigner | KeySigner,
  now = new Date(),
): Promise<Buffer> {
  const [port, witnesses] = signer.kind === 'certificate' ? certificatePort(signer, now) : keyPort(signer);
  let bundle;
  try {
    bundle = await new DSSEBundleBuilder({ signer: port, witnesses }).create({
      type: statementPayloadType,
      data: Buffer.from(statement),
    });
  } catch (error) {
    // The builder wraps what a signer or witness threw; the coded cause inside is more useful.
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
      if ('hint' in cause && codeOf(cause)) throw cause;
    throw error;
  }
  return Buffer.concat([canonicalBytes(bundleToJSON(bundle)), Buffer.from('\n')]);
}

function certificatePort(
  { certificates, publicKey, sign, timestampUrl }: CertificateSigner,
  now: Date,
): [Signer, Witness[]] {
  const wrong = (what: string, cause?: unknown): Error =>
    codeSigningError('SIGN_CERTIFICATE', `the code-signing certificate ${what}`, { cause });
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(certificates);
  } catch (cause) {
    throw wrong('is no PEM certificate', cause);
  }
  try {
    checkLeaf(leaf.raw);
  } catch (cause) {
    throw wrong(`is refused: ${messageOf(cause)}`, cause);
  }
  if (leaf.validFromDate > now) throw wrong(`is not valid before ${leaf.validFrom}`);
  if (leaf.validToDate < now) throw wrong(`expired on ${leaf.validTo}`);
  if (spkiOf(leaf.publicKey) !== spkiOf(publicKey))
    throw codeSigningError('SIGN_KEY', 'the private key is not the one of the certificate');
  const certificate = `-----BEGIN CERTIFICATE-----\n${leaf.raw.toString('base64')}\n-----END CERTIFICATE-----\n`;
  const signer: Signer = {
    sign: async (data) => ({
      signature: Buffer.from(await sign(data)),
      key: { $case: 'x509Certificate', certificate },
    }),
  };
  return [signer, [trustedTimestampWitness(timestampUrl)]];
}

function keyPort({ publicKey, sign }: KeySigner): [Signer, Witness[]] {
  const spki = keyMaterial(publicKey);
  if (spki === null)
    throw codeSigningError('SIGN_KEY', `a ${publicKey.keytype} key with scheme ${publicKey.scheme} cannot sign`);
  const pem = publicKey.keyval.public;
  const text = pem.startsWith('-----') ? createPublicKey(pem).export({ type: 'spki', format: 'pem' }).toString() : pem;
  const signer: Signer = {
    sign: async (data) => ({
      signature: Buffer.from(await sign(data)),
      key: { $case: 'publicKey', publicKey: text, hint: keyHint(spki) },
    }),
  };
  return [signer, []];
}
