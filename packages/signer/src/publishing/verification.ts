/**
 * Judges a published repository as a device would that starts from the shipped package: metadata by both verifiers, authorities,
 * revocations, and every release that a channel offers, with every byte of its files. Documents are read whole; archives and
 * SBOMs are hashed as they arrive and not kept.
 */
import {
  archivesOf,
  authorityPath,
  blockedReason,
  bundleFile,
  channelFormat,
  checkChannel,
  codeOf,
  judgeRelease,
  maximumBundleBytes,
  messageOf,
  readChain,
  releasePaths,
  releaseTextsFormat,
  revocationsFormat,
  revocationsPath,
  subjectOf,
  type Channel,
  type CodesignAuthority,
  type Offer,
  type ReleaseEvidence,
  type ReleaseName,
  type Revocations,
  type Statement,
  type Subject,
} from '@countersign/protocol';
import { confirmTargets, type ShippedPackage } from '@countersign/protocol/node';
import { signerError } from '../workspace/errors.ts';
import { readPublished, type PublishedState } from './published-state.ts';

export interface VerifiedOffer {
  readonly channel: string;
  readonly component: string;
  readonly version: string;
  readonly platform: string;
  /** `good`, or the code that a device would show. */
  readonly verdict: string;
  readonly reason: string;
}

export interface Verification {
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly roles: Readonly<Record<string, { version: number; expires: string }>>;
  readonly offers: readonly VerifiedOffer[];
}

/** Bytes of archives and SBOMs read so far, and the total of the offered releases. */
export type OnFileProgress = (done: number, total: number) => void;

/**
 * @throws VERIFY_REFUSED with the code that devices would show, in the message and as `context.code`; SOURCE_* where the place cannot
 *   be reached, FILE_READ where a folder cannot be read
 */
export async function verifyRepository(
  place: string,
  shipped: ShippedPackage,
  now: Date,
  onProgress: OnFileProgress = () => {},
): Promise<Verification> {
  try {
    return await judge(await readPublished(place, shipped, now), shipped, onProgress);
  } catch (cause) {
    const code = codeOf(cause);
    if (isOurs(code) || code?.startsWith('SOURCE_') || !(cause instanceof Error)) throw cause;
    throw signerError('VERIFY_REFUSED', `${code ?? 'error'}: ${cause.message}`, { cause, context: { code } });
  }
}

/** Whether a failure says nothing about the repository. */
const isOurs = (code: string | undefined): boolean => code === 'SERVER_ADDRESS' || code === 'FILE_READ';
const isUnreached = (code: string | undefined): boolean =>
  ['SOURCE_UNREACHABLE', 'SOURCE_TIMEOUT', 'SOURCE_BROKEN', 'SOURCE_STOPPED'].includes(code ?? '');

interface Judging {
  readonly state: PublishedState;
  readonly codesign: CodesignAuthority;
  readonly revocations: Revocations;
  /** By release: read once, even if several channels offer it. */
  readonly evidence: Map<string, ReleaseEvidence>;
  /** Checks a large file against what is listed. */
  checkFile(subject: Subject): Promise<void>;
}

async function judge(
  state: PublishedState,
  shipped: ShippedPackage,
  onProgress: OnFileProgress,
): Promise<Verification> {
  const { session, roles, documents } = state;
  const paths = [...roles.values()].flatMap(({ signed }) => Object.keys(signed.targets));
  await confirmTargets(session, paths);
  readChain('devices', documents.get(authorityPath('devices'))!, shipped.devices);
  const codesign = readChain('codesign', documents.get(authorityPath('codesign'))!, shipped.codesign).body;
  const revocations = revocationsFormat.parse(documents.get(revocationsPath)!, revocationsPath);
  const channels: Channel[] = [];
  for (const [path, bytes] of documents) {
    if (!path.startsWith('channels/')) continue;
    const channel = channelFormat.parse(bytes, path);
    checkChannel(channel, path.slice('channels/'.length, -'.json'.length));
    channels.push(channel);
  }
  const checkFile = fileChecker(state, channels, onProgress);
  const judging: Judging = { state, codesign, revocations, evidence: new Map(), checkFile };
  const offers: VerifiedOffer[] = [];
  for (const channel of channels)
    for (const offer of channel.offers) offers.push(await judgeOffer(judging, channel, offer));
  const { root, timestamp, snapshot, targets } = session.state;
  return {
    root: root.signed.version,
    timestamp: timestamp!.signed.version,
    snapshot: snapshot!.signed.version,
    roles: Object.fromEntries(
      [...targets].map(([name, { signed }]) => [name, { version: signed.version, expires: signed.expires }]),
    ),
    offers,
  };
}

async function judgeOffer(judging: Judging, channel: Channel, { release, ...offer }: Offer): Promise<VerifiedOffer> {
  const { component, version, platform } = offer;
  const name = { component, version, platform };
  const said = (verdict: string, reason = ''): VerifiedOffer => ({
    channel: channel.channel,
    ...name,
    verdict,
    reason,
  });
  const blocked = blockedReason(channel, component, version);
  if (blocked !== undefined) return said('RELEASE_BLOCKED', blocked);
  try {
    const { codesign, revocations } = judging;
    const evidence = await evidenceOf(judging, name);
    const { statement } = judgeRelease({ name, release, evidence, codesign, revocations });
    for (const subject of downloadsOf(statement)) await judging.checkFile(subject);
    return said('good');
  } catch (error) {
    const code = codeOf(error);
    if (isOurs(code) || isUnreached(code)) throw error;
    return said(code ?? 'INTERNAL', messageOf(error));
  }
}

/** @throws TRUST_DOCUMENT */
async function evidenceOf({ state, evidence }: Judging, name: ReleaseName): Promise<ReleaseEvidence> {
  const { component, version, platform } = name;
  const paths = releasePaths(component, version, platform);
  const known = evidence.get(paths.bundles);
  if (known) return known;
  const bundles = bundleFile(await state.read(paths.bundles, maximumBundleBytes));
  const texts = await state.read(paths.texts, releaseTextsFormat.maximumBytes);
  const role = state.roles.get(`component-${component}`);
  const read = { bundles, texts, signers: role?.signers ?? [], listed: role?.signed.targets ?? {} };
  evidence.set(paths.bundles, read);
  return read;
}

/** What a device fetches after an approval, in the same order; last the SBOM, which is for people. */
function downloadsOf(statement: Statement): Subject[] {
  const { name, version, platform, capabilities } = statement.predicate.manifest;
  const archives = archivesOf(statement, new Set(capabilities.map(({ id }) => id)));
  return [...archives.map(({ subject }) => subject), subjectOf(statement, releasePaths(name, version, platform).sbom)];
}

/** Checks each file once, even if several channels offer its release, and reports the progress over all of them. */
function fileChecker(
  { roles, checkFile }: PublishedState,
  channels: readonly Channel[],
  onProgress: OnFileProgress,
): Judging['checkFile'] {
  const sizes = new Map<string, number>();
  for (const { component, version, platform } of channels.flatMap(({ offers }) => offers)) {
    const paths = releasePaths(component, version, platform);
    const prefix = `components/${component}/${version}/${platform}.`;
    for (const [path, { length }] of Object.entries(roles.get(`component-${component}`)?.signed.targets ?? {}))
      if (path.startsWith(prefix) && path !== paths.bundles && path !== paths.texts) sizes.set(path, length);
  }
  const total = [...sizes.values()].reduce((sum, length) => sum + length, 0);
  const outcomes = new Map<string, Promise<void>>();
  let before = 0;
  const check = async ({ name, digest, annotations: { length } }: Subject): Promise<void> => {
    const expected = { length, sha256: digest.sha256 };
    await checkFile(name, { ...expected, onProgress: (done) => onProgress(before + done, total) });
    before += length;
  };
  return (subject) => {
    const outcome = outcomes.get(subject.name) ?? check(subject);
    outcomes.set(subject.name, outcome);
    return outcome;
  };
}
