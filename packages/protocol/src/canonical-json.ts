/**
 * Writes and reads RFC 8785 (JSON Canonicalization Scheme), the byte form of Countersign's own documents, and reads JSON that
 * comes from elsewhere. Invariant: a document read by `parseCanonical` re-serialises to exactly the bytes that were read, so a
 * duplicate key, white space or another number form cannot hide. Must never repair its input.
 */
import { Buffer } from 'node:buffer';
import canonicalize from 'canonicalize';
import { formatError } from './format-errors.ts';

/** No document of any format nests deeper; checked before parsing. */
export const maximumDepth = 64;

/** The RFC 8785 bytes of a JSON value. @throws FORMAT_JSON for a lone surrogate, a non-finite number or what is not JSON. */
export function canonicalBytes(value: unknown): Buffer {
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch (cause) {
    throw formatError('FORMAT_JSON', 'the value has no RFC 8785 form', { cause });
  }
  if (text === undefined) throw formatError('FORMAT_JSON', 'the value has no RFC 8785 form');
  return Buffer.from(text, 'utf8');
}

/**
 * Parses JSON from elsewhere. `what` names the document in the message. Duplicate keys follow JSON.parse (the last wins).
 * @throws FORMAT_JSON FORMAT_TOO_LARGE
 */
export function parseJson(bytes: Uint8Array, what: string, maximumBytes: number): unknown {
  if (bytes.length > maximumBytes)
    throw formatError('FORMAT_TOO_LARGE', `${what} has ${bytes.length} bytes, allowed are ${maximumBytes}`);
  if (depthOf(bytes) > maximumDepth) throw formatError('FORMAT_JSON', `${what} nests deeper than ${maximumDepth}`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw formatError('FORMAT_JSON', `${what} is not UTF-8 JSON`, { cause });
  }
}

/** As `parseJson`, but the bytes must be RFC 8785. @throws also FORMAT_NOT_CANONICAL */
export function parseCanonical(bytes: Uint8Array, what: string, maximumBytes: number): unknown {
  const value = parseJson(bytes, what, maximumBytes);
  if (!canonicalBytes(value).equals(bytes))
    throw formatError('FORMAT_NOT_CANONICAL', `${what} is not in RFC 8785 form`);
  return value;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Deepest nesting of arrays and objects, without parsing; brackets inside strings do not count. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > deepest) deepest = depth;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return deepest;
}
