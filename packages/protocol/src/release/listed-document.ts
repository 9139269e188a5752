/**
 * Compares a small signed document with what trusted metadata lists. Every reader uses it, however it gets the bytes, so each
 * fault has one wording: the document is not listed, is too large, or has other bytes than listed.
 */
import { escapeText, sha256 } from '../text.ts';
import type { TargetFile } from '../tuf/targets.ts';
import { releaseError } from './release-errors.ts';

export const documentError = (path: string, what: string): Error =>
  releaseError('TRUST_DOCUMENT', `${escapeText(path)} ${what}`);

/** Checks what a search found, before anything is fetched. @throws TRUST_DOCUMENT */
export function checkDocumentListed(path: string, target: TargetFile | null, maximumBytes: number): TargetFile {
  if (target === null) throw releaseError('TRUST_DOCUMENT', `trusted metadata does not list ${escapeText(path)}`);
  if (target.length > maximumBytes)
    throw documentError(path, `has ${target.length} bytes, allowed are ${maximumBytes}`);
  return target;
}

/** Compares the digest; that is enough, since a shorter or longer file has another one. @throws TRUST_DOCUMENT */
export function checkDocumentBytes({ path, sha256: digest }: TargetFile, bytes: Uint8Array): void {
  if (sha256(bytes) !== digest) throw documentError(path, 'is not the file that is listed');
}
