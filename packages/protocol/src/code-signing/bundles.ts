/**
 * Reads the bundle file of a release: JSON lines, one Sigstore v0.3 bundle each, all over the same statement. Sizes are limited
 * before anything is parsed. Reading does not establish trust.
 */
import { Buffer } from 'node:buffer';
import { bundleFromJSON, type Bundle } from '@sigstore/bundle';
import { parseJson } from '../canonical-json.ts';
import { statementPayloadType } from '../release/statement.ts';
import { codesignError } from './codesign-errors.ts';

const bundleMediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
export const maximumBundleBytes = 1 << 20;
const maximumBundles = 16;
const maximumTimestamps = 8;

export interface ReleaseBundle {
  readonly bundle: Bundle;
  readonly statement: Buffer;
  readonly signature: Buffer;
  /** The leaf certificate as DER, or the hint of a pinned key. */
  readonly material:
    { readonly kind: 'certificate'; readonly der: Buffer } | { readonly kind: 'key'; readonly hint: string };
}

/** All over the same statement. */
export type ReleaseBundles = readonly [ReleaseBundle, ...ReleaseBundle[]];

/** The returned function reads the file on its first call only. It throws what `readBundles` throws. */
export function bundleFile(bytes: Uint8Array): () => ReleaseBundles {
  let read: ReleaseBundles | undefined;
  return () => (read ??= readBundles(bytes));
}

/** @throws CODESIGN_BUNDLE CODESIGN_STATEMENTS_DIFFER */
export function readBundles(bytes: Uint8Array): ReleaseBundles {
  const file = Buffer.from(bytes);
  if (file.length > maximumBundleBytes)
    throw codesignError(
      'CODESIGN_BUNDLE',
      `the bundle file has ${file.length} bytes, allowed are ${maximumBundleBytes}`,
    );
  if (file.at(-1) !== 0x0a) throw codesignError('CODESIGN_BUNDLE', 'the bundle file does not end with a newline');
  const lines: Buffer[] = [];
  for (let start = 0; start < file.length;) {
    const end = file.indexOf(0x0a, start);
    lines.push(file.subarray(start, end));
    if (lines.length > maximumBundles)
      throw codesignError('CODESIGN_BUNDLE', `the bundle file has more than ${maximumBundles} bundles`);
    start = end + 1;
  }
  const [first, ...rest] = lines.map((line, index) => readBundle(line, `bundle ${index + 1}`));
  // equivalent: there is a newline, so there is a line
  if (!first) throw codesignError('CODESIGN_BUNDLE', 'the bundle file is empty');
  for (const [index, other] of rest.entries())
    if (!other.statement.equals(first.statement))
      throw codesignError('CODESIGN_STATEMENTS_DIFFER', `bundle ${index + 2} signs another statement than bundle 1`);
  return [first, ...rest];
}

function readBundle(line: Buffer, what: string): ReleaseBundle {
  const json = parseJson(line, what, maximumBundleBytes);
  const wrong = (why: string, cause?: unknown): Error => codesignError('CODESIGN_BUNDLE', `${what} ${why}`, { cause });
  if ((json as { mediaType?: unknown } | null)?.mediaType !== bundleMediaType)
    throw wrong('is not a Sigstore v0.3 bundle');
  let bundle: Bundle;
  try {
    bundle = bundleFromJSON(json);
  } catch (cause) {
    throw wrong('is not a valid Sigstore bundle', cause);
  }
  if (bundle.content.$case !== 'dsseEnvelope') throw wrong('is not a DSSE bundle');
  const { payloadType, payload, signatures } = bundle.content.dsseEnvelope;
  if (payloadType !== statementPayloadType) throw wrong('signs something else than an in-toto statement');
  // equivalent: the library also accepts exactly one
  if (signatures.length !== 1) throw wrong(`has ${signatures.length} signatures, expected 1`);
  const timestamps = bundle.verificationMaterial.timestampVerificationData?.rfc3161Timestamps ?? [];
  if (timestamps.length + bundle.verificationMaterial.tlogEntries.length > maximumTimestamps)
    throw wrong(`has more than ${maximumTimestamps} timestamps and log entries`);
  return { bundle, statement: payload, signature: signatures[0]!.sig, material: materialOf(bundle, wrong) };
}

function materialOf(bundle: Bundle, wrong: (why: string) => Error): ReleaseBundle['material'] {
  const { content } = bundle.verificationMaterial;
  if (content.$case === 'certificate') return { kind: 'certificate', der: Buffer.from(content.certificate.rawBytes) };
  if (content.$case === 'publicKey') return { kind: 'key', hint: content.publicKey.hint };
  throw wrong('names its signer neither by one certificate nor by a key');
}
