/** Checks lengths and digests of signed metadata before the bytes are parsed (§5.5.2, §5.6.2, §5.7). */
import { createHash } from 'node:crypto';
import { escapeText, sha256 } from '../text.ts';
import type { MetaFile } from './metadata.ts';
import { tufError } from './tuf-errors.ts';

const algorithms = ['sha256', 'sha384', 'sha512'];

/** The algorithms of a `hashes` record. @throws TUF_HASH for an unknown one: every listed hash is checked */
export function knownAlgorithms(hashes: Readonly<Record<string, string>>, what: string): string[] {
  const listed = Object.keys(hashes);
  const unknown = listed.find((algorithm) => !algorithms.includes(algorithm));
  if (unknown !== undefined)
    throw tufError('TUF_HASH', `${escapeText(what)} has a hash of the unknown kind ${escapeText(unknown, 40)}`);
  if (listed.length === 0) throw tufError('TUF_HASH', `${escapeText(what)} has no hash`);
  return listed;
}

/**
 * Returns the sha256 of the bytes, so that it is not computed again. `known` is the sha256 of exactly these bytes if it was
 * computed before; it is compared all the same. @throws TUF_HASH
 */
export function checkBytes(bytes: Uint8Array, meta: Omit<MetaFile, 'version'>, what: string, known?: string): string {
  if (meta.length !== undefined && bytes.length !== meta.length)
    throw tufError('TUF_HASH', `${escapeText(what)} has ${bytes.length} bytes, expected are ${meta.length}`);
  let digest = known;
  for (const algorithm of meta.hashes === undefined ? [] : knownAlgorithms(meta.hashes, what)) {
    const expected = meta.hashes![algorithm]!;
    const isKnown = algorithm === 'sha256' && digest !== undefined;
    const actual = isKnown ? digest : createHash(algorithm).update(bytes).digest('hex');
    if (actual !== expected)
      throw tufError(
        'TUF_HASH',
        `${escapeText(what)} has ${algorithm} ${actual}, expected is ${escapeText(expected, 140)}`,
      );
    if (algorithm === 'sha256') digest = actual;
  }
  return digest ?? sha256(bytes);
}
