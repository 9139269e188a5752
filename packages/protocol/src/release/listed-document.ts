/**
 * A small signed document as trusted metadata lists it. Whoever reads one, by whatever means, refuses it in the same words: a document
 * that is not listed, that is too large to be one, or whose bytes are not the listed ones.
 */
import { escapeText, sha256 } from '../text.ts';
import type { TargetFile } from '../tuf/targets.ts';
import { releaseError } from './release-errors.ts';

export const documentError = (path: string, what: string): Error =>
  releaseError('TRUST_DOCUMENT', `${escapeText(path)} ${what}`);

/** What a search found, before anything is fetched. @throws TRUST_DOCUMENT */
export function checkDocumentListed(path: string, target: TargetFile | null, maximumBytes: number): TargetFile {
  if (target === null) throw releaseError('TRUST_DOCUMENT', `trusted metadata does not list ${escapeText(path)}`);
  if (target.length > maximumBytes)
    throw documentError(path, `has ${target.length} bytes, allowed are ${maximumBytes}`);
  return target;
}

/** The digest is what counts; a shorter or longer file has another one. @throws TRUST_DOCUMENT */
export function checkDocumentBytes({ path, sha256: digest }: TargetFile, bytes: Uint8Array): void {
  if (sha256(bytes) !== digest) throw documentError(path, 'is not the file that is listed');
}
