/**
 * Reads the outer layer of every metadata file, `{"signatures": […], "signed": {…}}`, and counts the signatures over it. Which
 * bytes are signed is never guessed: they are the canonical form of exactly the value that is read. They are taken from the file
 * if it holds that form, else serialised. Invariant: the value of `signed` is not looked at before `signers`.
 */
import { Buffer, isAscii, isUtf8 } from 'node:buffer';
import { isObject, parseJson } from '../canonical-json.ts';
import { messageOf } from '../error.ts';
import { canonicalOlpc } from '../olpc-json.ts';
import { keyMaterial, verifySignature } from '../public-key.ts';
import { escapeText } from '../text.ts';
import { isCanonicalJson } from './canonical-scan.ts';
import type { Key, Role } from './metadata.ts';
import { tufError } from './tuf-errors.ts';

export interface Signature {
  readonly keyid: string;
  readonly sig: string;
}

export interface MetadataEnvelope {
  readonly signatures: readonly Signature[];
  /** The bytes that the signatures cover (§4.2.1). */
  readonly signedBytes: Uint8Array;
  /** The value of `signed`. */
  readonly signed: () => unknown;
}

const head = Buffer.from('{"signatures":[');
const middle = Buffer.from('],"signed":');

/** Opens the file's outer layer. @throws TUF_FORMAT */
export function openMetadata(bytes: Uint8Array, what: string): MetadataEnvelope {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return openCanonical(buffer) ?? openAny(buffer, what);
  } catch (cause) {
    throw malformed(what, cause);
  }
}

/** Reads the shape that signers write. Null where the file has another shape, which is allowed. */
function openCanonical(buffer: Buffer): MetadataEnvelope | null {
  if (!buffer.subarray(0, head.length).equals(head) || buffer.at(-1) !== 0x7d) return null;
  const at = buffer.indexOf(middle);
  if (at === -1) return null;
  const outer = buffer.subarray(0, at + 1);
  const signedBytes = buffer.subarray(at + middle.length, -1);
  const ascii = isAscii(buffer);
  if (!ascii && !isUtf8(buffer)) return null;
  // A quote inside a text is always escaped, so `],"signed":` must be a key. It belongs to the outermost object, because what
  // stands before it is a whole list and what follows is exactly one value.
  if (!isCanonicalJson(signedBytes) || !isCanonicalJson(Buffer.concat([outer, Buffer.from('}')]))) return null;
  const { signatures } = JSON.parse(`${outer.toString('utf8')}}`) as { signatures: unknown };
  let signed: unknown;
  let read = false;
  return {
    signatures: checkSignatures(signatures),
    signedBytes,
    signed: () => {
      if (!read) signed = JSON.parse(ascii ? signedBytes.toString('latin1') : signedBytes.toString('utf8'));
      read = true;
      return signed;
    },
  };
}

function openAny(buffer: Buffer, what: string): MetadataEnvelope {
  const value = parseJson(buffer, what, Number.MAX_SAFE_INTEGER);
  if (!isObject(value) || !Object.hasOwn(value, 'signed') || !Object.hasOwn(value, 'signatures'))
    throw tufError('TUF_FORMAT', `${what} has no signed or no signatures`);
  const { signatures, signed } = value;
  return { signatures: checkSignatures(signatures), signedBytes: canonicalOlpc(signed), signed: () => signed };
}

function checkSignatures(value: unknown): Signature[] {
  if (!Array.isArray(value)) throw tufError('TUF_FORMAT', 'signatures is no list');
  const seen = new Set<string>();
  return value.map((entry: unknown) => {
    if (!isObject(entry) || typeof entry.keyid !== 'string' || typeof entry.sig !== 'string')
      throw tufError('TUF_FORMAT', 'a signature has no keyid or no sig');
    // §4.2.1: the keyid is unique in the list.
    if (seen.has(entry.keyid))
      throw tufError('TUF_FORMAT', `two signatures have the key id ${escapeText(entry.keyid)}`);
    seen.add(entry.keyid);
    return { keyid: entry.keyid, sig: entry.sig };
  });
}

/**
 * The key ids of the role with a valid signature, in the order of the role, and how many different keys they are. Key ids are
 * taken as given; a key listed under two ids counts once.
 */
export function goodSigners(
  envelope: Pick<MetadataEnvelope, 'signatures' | 'signedBytes'>,
  role: Role,
  keys: Readonly<Record<string, Key>>,
): { signers: string[]; different: number } {
  const byId = new Map(envelope.signatures.map((signature) => [signature.keyid, signature.sig]));
  const material = new Set<string>();
  const signers: string[] = [];
  for (const keyid of role.keyids) {
    const signature = byId.get(keyid);
    const key = Object.hasOwn(keys, keyid) ? keys[keyid] : undefined;
    if (signature === undefined || key === undefined) continue;
    if (!verifySignature(key, envelope.signedBytes, signature)) continue;
    signers.push(keyid);
    material.add(keyMaterial(key)!);
  }
  return { signers, different: material.size };
}

/**
 * Those key ids, if there are at least as many different keys as the threshold (§5.3.4, §5.4.2, §5.5.3, §5.6.3).
 * @throws TUF_SIGNATURE
 */
export function verifySigners(
  envelope: Pick<MetadataEnvelope, 'signatures' | 'signedBytes'>,
  role: Role,
  keys: Readonly<Record<string, Key>>,
  what: string,
): string[] {
  const { signers, different } = goodSigners(envelope, role, keys);
  if (different < role.threshold)
    throw tufError('TUF_SIGNATURE', `${what} is signed by ${different} of its keys, needed are ${role.threshold}`, {
      context: { signed: different, threshold: role.threshold },
    });
  return signers;
}

/** Turns anything that a reader of hostile bytes threw into TUF_FORMAT. */
export function malformed(what: string, cause: unknown): Error {
  const reason = messageOf(cause);
  return tufError('TUF_FORMAT', `${escapeText(what)}: ${escapeText(reason, 200)}`, { cause });
}
