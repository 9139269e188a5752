/**
 * Checks of a signing certificate that the library leaves out. It must be for code signing, have a key that we accept and no
 * critical extension that is not understood, and be exact DER. So one certificate has one form.
 */
import { Buffer } from 'node:buffer';
import { createHash, X509Certificate, type KeyObject } from 'node:crypto';
import { X509Certificate as ParsedCertificate } from '@sigstore/core';
import { codesignError } from './codesign-errors.ts';

const codeSigning = '1.3.6.1.5.5.7.3.3';
/** Key usage, basic constraints, extended key usage, alternative name, policies: understood here or in the library. */
const understood = new Set(['2.5.29.15', '2.5.29.19', '2.5.29.37', '2.5.29.17', '2.5.29.32']);
const smallestRsaBits = 3072;

export interface LeafCertificate {
  /** Issuer as Node prints it, one attribute per line. */
  readonly issuer: string;
  readonly subject: Readonly<Record<string, string>>;
  readonly spki: string;
  /** sha256 of the tbsCertificate: what the CA signed, so it cannot be varied without the CA. */
  readonly tbs: string;
}

/** @throws CODESIGN_CERTIFICATE */
export function checkLeaf(der: Buffer): LeafCertificate {
  const wrong = (why: string, cause?: unknown): Error =>
    codesignError('CODESIGN_CERTIFICATE', `the signing certificate ${why}`, { cause });
  let certificate: X509Certificate;
  let parsed: ParsedCertificate;
  try {
    certificate = new X509Certificate(der);
    parsed = ParsedCertificate.parse(Buffer.from(der));
  } catch (cause) {
    throw wrong('cannot be read', cause);
  }
  // equivalent: either reader notices it without the other
  if (!certificate.raw.equals(der) || !parsed.root.toDER().equals(der)) throw wrong('has bytes beyond its DER form');
  if (certificate.ca) throw wrong('is a CA certificate');
  if (!certificate.keyUsage?.includes(codeSigning)) throw wrong('is not for code signing');
  if (parsed.extKeyUsage?.digitalSignature !== true) throw wrong('is not for digital signatures');
  const seen = new Set<string>();
  for (const extension of parsed.extensions) {
    const oid = extension.subs[0]!.toOID();
    if (seen.has(oid)) throw wrong(`has extension ${oid} twice`);
    seen.add(oid);
    if (parsed.extension(oid)?.critical === true && !understood.has(oid))
      throw wrong(`has the critical extension ${oid}, which nobody here understands`);
  }
  checkKey(certificate.publicKey, wrong);
  return {
    issuer: certificate.issuer,
    subject: subjectOf(certificate, wrong),
    spki: spkiOf(certificate.publicKey),
    tbs: createHash('sha256').update(parsed.tbsCertificate.toDER()).digest('hex'),
  };
}

/** P-256, or RSA of at least 3072 bits: what the library verifies correctly over DSSE. */
function checkKey(key: KeyObject, wrong: (why: string) => Error): void {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  // Only keys on a curve have one.
  if (namedCurve === 'prime256v1') return;
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= smallestRsaBits && modulusLength <= 8192) return;
  throw wrong(`has a key of type ${key.asymmetricKeyType} ${namedCurve ?? modulusLength}`);
}

/** The subject's attributes. None may stand twice: either value could then be the one that is compared. */
function subjectOf(certificate: X509Certificate, wrong: (why: string) => Error): Record<string, string> {
  const attributes: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(
    certificate.toLegacyObject().subject as Record<string, string | string[]>,
  )) {
    if (typeof value !== 'string') throw wrong(`has ${name} more than once in its subject`);
    attributes[name] = value;
  }
  return attributes;
}

export const spkiOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
