/**
 * Turns PEM files from a certificate authority into what the codesign authority holds: a Sigstore trusted root, and the identity
 * that a certificate proves. What a draft gets from here is judged again where it is used.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { checkLeaf, codeOf } from '@countersign/protocol';
import { signerError } from '../workspace/errors.ts';

/** All certificates of a PEM file, in its order. @throws DRAFT */
function readCertificates(file: string): X509Certificate[] {
  try {
    const blocks = readFileSync(file, 'latin1').match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g);
    if (blocks) return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw signerError('DRAFT', `${file} cannot be read: ${codeOf(cause) ?? 'failed'}`, { cause });
  }
  throw signerError('DRAFT', `${file} has no certificate in PEM form`);
}

/**
 * A trusted root of one authority. `codeSigning`: the CAs from the issuing one to the root, with or without the signing
 * certificate before them. `timeStamping`: the certificate of the time-stamping service, then its CAs to the root. @throws DRAFT
 */
export function trustedRootOf(codeSigning: string, timeStamping: string): object {
  const signing = readCertificates(codeSigning);
  if (!signing[0]!.ca) signing.shift();
  const stamping = readCertificates(timeStamping);
  if (stamping[0]!.ca) throw signerError('DRAFT', `${timeStamping} does not begin with the time-stamping certificate`);
  return {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [],
    ctlogs: [],
    certificateAuthorities: [authorityOf(codeSigning, signing)],
    timestampAuthorities: [authorityOf(timeStamping, stamping)],
  };
}

function authorityOf(file: string, chain: readonly X509Certificate[]): object {
  const root = chain.at(-1);
  if (!root?.checkIssued(root)) throw signerError('DRAFT', `${file} does not end with a root certificate`);
  const gap = chain.findIndex(
    (certificate, index) => chain[index + 1]?.ca === false || !isIssued(certificate, chain[index + 1]),
  );
  if (gap !== -1) throw signerError('DRAFT', `${file}: certificate ${gap + 1} was not issued by the one after it`);
  const { O = '', CN = '' } = chain[0]!.toLegacyObject().subject as unknown as Record<string, string | undefined>;
  return {
    subject: { organization: O, commonName: CN },
    uri: '',
    certChain: { certificates: chain.map(({ raw }) => ({ rawBytes: raw.toString('base64') })) },
    validFor: { start: chain[0]!.validFromDate.toISOString() },
  };
}

const isIssued = (certificate: X509Certificate, issuer: X509Certificate | undefined): boolean =>
  issuer === undefined || (certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey));

/** The identity that a code-signing certificate proves: its issuer, and its whole subject. @throws DRAFT CODESIGN_CERTIFICATE */
export function identityOf(file: string): { issuer: string; subject: Record<string, string> } {
  const { issuer, subject } = checkLeaf(readCertificates(file)[0]!.raw);
  return { issuer, subject: { ...subject } };
}
