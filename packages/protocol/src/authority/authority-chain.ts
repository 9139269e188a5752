/**
 * Reads and judges authority chains: JSON lines of DSSE envelopes, one version a line. Invariants: version 1 is the line that
 * shipped with the device; version N+1 is signed by the threshold that N names and by its own, as TUF's root is (specification
 * §5.3); the file only ever grows. A chain is compared with what was accepted before: an older chain or another one is refused.
 */
import { Buffer } from 'node:buffer';
import { releaseError } from '../release/release-errors.ts';
import type { Format } from '../schema.ts';
import { sha256 } from '../text.ts';
import { checkCodesign, checkDevices } from './authority-rules.ts';
import {
  codesignFormat,
  codesignPayloadType,
  devicesFormat,
  devicesPayloadType,
  type CodesignAuthority,
  type DevicesAuthority,
} from './authority.ts';
import { envelopeFormat, payloadOf, readEnvelope, verifiedSigners, type Envelope } from './dsse.ts';

export interface AuthorityBodies {
  codesign: CodesignAuthority;
  devices: DevicesAuthority;
}
export type AuthorityKind = keyof AuthorityBodies;

export const authorityPath = (kind: AuthorityKind): string => `authority/${kind}.jsonl`;
export const maximumChainBytes = 8 << 20;
const maximumLines = 1000;

interface KindRules<B> {
  readonly payloadType: string;
  readonly format: Format<B>;
  readonly check: (body: B) => void;
}
const kinds: { readonly [K in AuthorityKind]: KindRules<AuthorityBodies[K]> } = {
  codesign: { payloadType: codesignPayloadType, format: codesignFormat, check: checkCodesign },
  devices: { payloadType: devicesPayloadType, format: devicesFormat, check: checkDevices },
};

export interface AuthorityChain<K extends AuthorityKind> {
  readonly kind: K;
  /** The newest version's. */
  readonly body: AuthorityBodies[K];
  readonly version: number;
  /** Exact bytes of each line without its newline, and their sha256, from version 1 on. */
  readonly lines: readonly Buffer[];
  readonly digests: readonly string[];
}

/**
 * Reads a whole chain. `shipped` is the first line that came with the device; `accepted` holds the digests of all lines accepted
 * before.
 * @throws AUTHORITY_CHAIN AUTHORITY_ROLLBACK AUTHORITY_FORK AUTHORITY_BODY, FORMAT_*
 */
export function readChain<K extends AuthorityKind>(
  kind: K,
  bytes: Uint8Array,
  shipped: Uint8Array,
  accepted: readonly string[] = [],
): AuthorityChain<K> {
  const lines = splitLines(kind, bytes);
  const digests = lines.map((line) => sha256(line));
  if (digests[0] !== sha256(firstLine(shipped)))
    throw releaseError('AUTHORITY_FORK', `version 1 of the ${kind} chain is not the one that shipped`);
  if (lines.length < accepted.length)
    throw releaseError(
      'AUTHORITY_ROLLBACK',
      `the ${kind} chain has ${lines.length} versions, ${accepted.length} were accepted before`,
    );
  const changed = accepted.findIndex((digest, index) => digests[index] !== digest);
  if (changed !== -1)
    throw releaseError(
      'AUTHORITY_FORK',
      `version ${changed + 1} of the ${kind} chain is not the one that was accepted before`,
    );
  // Accepted lines were judged when they came. Only the newest of them is read again, to judge what follows.
  let body: AuthorityBodies[K] | undefined;
  for (let index = Math.max(0, accepted.length - 1); index < lines.length; index++)
    body = readVersion(kind, lines[index]!, index + 1, body, index < accepted.length);
  return { kind, body: body!, version: lines.length, lines, digests };
}

/** Judges one version by the one before it. `known`: accepted earlier, so its signatures are not judged again. */
function readVersion<K extends AuthorityKind>(
  kind: K,
  line: Buffer,
  version: number,
  before: AuthorityBodies[K] | undefined,
  known: boolean,
): AuthorityBodies[K] {
  const rules = kinds[kind] as KindRules<AuthorityBodies[K]>;
  const what = `version ${version} of the ${kind} chain`;
  const envelope = readEnvelope(line, what);
  if (envelope.payloadType !== rules.payloadType)
    throw releaseError('AUTHORITY_CHAIN', `${what} has payload type ${envelope.payloadType.slice(0, 100)}`);
  const body = rules.format.parse(payloadOf(envelope), what);
  if (body.version !== version) throw releaseError('AUTHORITY_CHAIN', `${what} calls itself version ${body.version}`);
  // equivalent: it only saves time, what was accepted once is accepted again
  if (known) return body;
  if (before) {
    checkThreshold(what, envelope, before.signers, `version ${version - 1}`);
    if (Date.parse(body.issued) < Date.parse(before.issued))
      throw releaseError('AUTHORITY_CHAIN', `${what} was issued before version ${version - 1}`);
  }
  checkThreshold(what, envelope, body.signers, 'itself');
  rules.check(body);
  return body;
}

function checkThreshold(what: string, envelope: Envelope, signers: CodesignAuthority['signers'], by: string): void {
  const good = verifiedSigners(envelope, signers.keys).length;
  if (good < signers.threshold)
    throw releaseError(
      'AUTHORITY_CHAIN',
      `${what} has ${good} of the ${signers.threshold} signatures that ${by} demands`,
    );
}

/** Who has signed a new version, of those that the version before and the version itself demand. */
export function chainSignatures<K extends AuthorityKind>(
  before: AuthorityBodies[K] | undefined,
  body: AuthorityBodies[K],
  envelope: Envelope,
): { signed: string[]; missing: string[]; complete: boolean } {
  const demands = [before?.signers, body.signers].filter((signers) => signers !== undefined);
  const keys = Object.assign({}, ...demands.map((signers) => signers.keys)) as CodesignAuthority['signers']['keys'];
  const signed = verifiedSigners(envelope, keys);
  const complete = demands.every((signers) => verifiedSigners(envelope, signers.keys).length >= signers.threshold);
  return { signed, missing: Object.keys(keys).filter((id) => !signed.includes(id)), complete };
}

/** The payload type and exact bytes of a new version's body, checked. @throws AUTHORITY_BODY FORMAT_* */
export function authorityPayload<K extends AuthorityKind>(
  kind: K,
  body: AuthorityBodies[K],
): { payloadType: string; payload: Buffer } {
  const rules = kinds[kind] as KindRules<AuthorityBodies[K]>;
  const payload = rules.format.serialize(body);
  rules.check(body);
  return { payloadType: rules.payloadType, payload };
}

/** The file's bytes with one more line. */
export const extendChain = (lines: readonly Uint8Array[], envelope: Envelope): Buffer =>
  Buffer.concat([...lines, envelopeFormat.serialize(envelope)].flatMap((line) => [line, Buffer.from('\n')]));

const firstLine = (bytes: Uint8Array): Buffer => {
  const buffer = Buffer.from(bytes);
  const end = buffer.indexOf(0x0a);
  return end === -1 ? buffer : buffer.subarray(0, end);
};

function splitLines(kind: AuthorityKind, bytes: Uint8Array): Buffer[] {
  const buffer = Buffer.from(bytes);
  if (buffer.length > maximumChainBytes)
    throw releaseError(
      'AUTHORITY_CHAIN',
      `the ${kind} chain has ${buffer.length} bytes, allowed are ${maximumChainBytes}`,
    );
  if (buffer.at(-1) !== 0x0a) throw releaseError('AUTHORITY_CHAIN', `the ${kind} chain does not end with a newline`);
  const lines: Buffer[] = [];
  for (let start = 0; start < buffer.length;) {
    const end = buffer.indexOf(0x0a, start);
    lines.push(buffer.subarray(start, end));
    if (lines.length > maximumLines)
      throw releaseError('AUTHORITY_CHAIN', `the ${kind} chain has more than ${maximumLines} versions`);
    start = end + 1;
  }
  return lines;
}
