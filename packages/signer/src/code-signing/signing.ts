/**
 * Code-signs a packed release: adds one bundle line, or replaces the one of the same identity. Invariants: only a release whose
 * files are all as packed is signed; a signature that the workspace's authority would not accept is not written; when anything
 * fails, the old bundles stay.
 */
import { createHash, verify, X509Certificate } from 'node:crypto';
import {
  preAuthEncoding,
  readBundles,
  statementPayloadType,
  verifySignature,
  weighSignatures,
  type CodeSignature,
  type Matching,
  type ReleaseBundle,
  type ReleaseName,
} from '@countersign/protocol';
import { writeDurable } from '@countersign/protocol/node';
import type { SigningRules } from '../change/signing-rules.ts';
import { artifactError } from '../releases/artifact-errors.ts';
import {
  bundlesFile,
  readArtifact,
  releaseWords,
  verifyArtifact,
  withArtifactLock,
  type Signatures,
} from '../releases/artifacts.ts';
import { codeSigningError } from './code-signing-errors.ts';
import type { CertificateSigner, KeySigner } from './statement-signer.ts';

export interface SignOptions {
  readonly workspace: string;
  readonly name: ReleaseName;
  readonly signer: CertificateSigner | KeySigner;
  /** Null if there is no authority yet: then only the form of the bundle is checked. */
  readonly rules: SigningRules | null;
  readonly now?: Date;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Signed {
  readonly release: string;
  readonly lines: number;
  readonly outcome: 'added' | 'replaced';
  /** The new signature as the authority judges it. */
  readonly signature: CodeSignature | null;
  /** The roles, who fills them, and which ones are short. */
  readonly matching: Matching | null;
  /** Other lines that do not count, and why. */
  readonly refused: readonly string[];
}

/** @throws SIGN_* ARTIFACT_* CODESIGN_* FILE_WRITE DISK_FULL */
export async function signRelease({
  workspace,
  name,
  signer,
  rules,
  now = new Date(),
  onProgress,
}: SignOptions): Promise<Signed> {
  const artifact = readArtifact(workspace, name);
  await verifyArtifact(artifact, onProgress);
  // Loaded only when needed: these libraries take longer to load than most commands to run.
  const { signStatement } = await import('./statement-signer.ts');
  const line = await signStatement(artifact.statementBytes, signer, now);
  const lineBundles = readBundles(line);
  checkOwnSignature(lineBundles[0], signer);
  const own = rules && weighSignatures({ ...rules, bundles: lineBundles, component: name.component });
  if (own && !own.signatures[0])
    throw codeSigningError(
      'SIGN_NOT_BELIEVED',
      `the signature of ${releaseWords(name)} would not count: ${own.refused.join('; ')}`,
    );
  return withArtifactLock(workspace, () => {
    // Somebody else may have signed or packed during the request to the time-stamping authority.
    const current = readArtifact(workspace, name, artifact.signatures);
    if (current.release !== artifact.release)
      throw artifactError('ARTIFACT_BUSY', `${releaseWords(name)} was packed again while it was signed`);
    const { bytes, outcome } = mergeBundle(current.signatures, { bytes: line, lines: lineBundles });
    const merged = bytes.equals(line) ? lineBundles : readBundles(bytes);
    const weighed = rules && weighSignatures({ ...rules, bundles: merged, component: name.component });
    writeDurable(bundlesFile(workspace, name), bytes);
    return {
      release: artifact.release,
      lines: merged.length,
      outcome,
      signature: own?.signatures[0] ?? null,
      matching: weighed,
      refused: weighed?.refused ?? [],
    };
  });
}

/** Checks the signature, because a token or vault may answer anything. @throws SIGN_KEY */
function checkOwnSignature({ statement, signature }: ReleaseBundle, signer: CertificateSigner | KeySigner): void {
  const signed = preAuthEncoding(statementPayloadType, statement);
  const holds =
    signer.kind === 'key'
      ? verifySignature(signer.publicKey, signed, signature.toString('hex'))
      : verify('sha256', signed, signer.publicKey, signature);
  if (!holds) throw codeSigningError('SIGN_KEY', 'what the private key signed does not hold for its public key');
}

/** The lines with the new one added: it replaces the line of the same signer, else it goes to the end. */
export function mergeBundle(
  before: Signatures | null,
  line: Signatures,
): { readonly bytes: Buffer; readonly outcome: 'added' | 'replaced' } {
  const lines = before === null ? [] : linesOf(before.bytes);
  const signer = signerOf(line.lines[0]);
  const place = before === null ? -1 : before.lines.findIndex((other) => signerOf(other) === signer);
  if (place === -1) return { bytes: Buffer.concat([...lines, line.bytes]), outcome: 'added' };
  lines[place] = line.bytes;
  return { bytes: Buffer.concat(lines), outcome: 'replaced' };
}

/** The lines, each with its newline. */
function linesOf(bundles: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bundles.length;) {
    const end = bundles.indexOf(0x0a, start) + 1;
    lines.push(bundles.subarray(start, end));
    start = end;
  }
  return lines;
}

/** Who signed, by the names and not the certificate: a renewed certificate has the same names. */
function signerOf({ material }: ReleaseBundle): string {
  if (material.kind === 'key') return `key ${material.hint}`;
  try {
    const { issuer, subject, subjectAltName } = new X509Certificate(material.der);
    return `certificate ${JSON.stringify([issuer, subject, subjectAltName])}`;
  } catch {
    return `certificate ${createHash('sha256').update(material.der).digest('hex')}`;
  }
}
