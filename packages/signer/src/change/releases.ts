/** Puts packed and signed releases into the pending change: into their component's role, and into channels. */
import {
  channelFormat,
  channelPath,
  checkChannel,
  readBundles,
  releasePaths,
  timeText,
  weighSignatures,
  type Channel,
  type Offer,
  type Target,
} from '@countersign/protocol';
import { findArtifact, readArtifact, releaseWords, verifyArtifact, type Artifact } from '../releases/artifacts.ts';
import { bundlesOf, componentRole } from '../releases/release-bundles.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { editDocument, editTargets } from './change-edits.ts';
import { readSigningRules } from './signing-rules.ts';

/**
 * Puts a release into its component's role: exactly what was code-signed, and the signatures.
 * @throws ARTIFACT_* RELEASE_NOT_SIGNED RELEASE_PUBLISHED ROLE_UNKNOWN
 */
export async function addRelease(
  workspace: Workspace,
  text: string,
  now: Date,
  onProgress?: (done: number, total: number) => void,
): Promise<Artifact> {
  const artifact = readArtifact(workspace.directory, findArtifact(workspace.directory, text));
  const { component, version, platform } = artifact.name;
  const role = componentRole(component);
  if (!workspace.delegatedRoles().includes(role))
    throw signerError('ROLE_UNKNOWN', `${component} has no role yet`, {
      hint: `give it one: countersign role delegate ${role} --role-key NAME...`,
    });
  checkSigned(workspace, artifact);
  await verifyArtifact(artifact, onProgress);
  const paths = releasePaths(component, version, platform);
  const entries = new Map<string, Target>(
    artifact.files.map(({ path, length, sha256: digest }) => [path, { length, hashes: { sha256: digest } }]),
  );
  const listed = workspace.trustedRole(role) ? workspace.targets(role).signed.targets : {};
  for (const [path, target] of entries)
    if (Object.hasOwn(listed, path) && listed[path]!.hashes.sha256 !== target.hashes.sha256)
      throw signerError('RELEASE_PUBLISHED', `${path} is published with other content`);
  entries.set(paths.bundles, workspace.keepDocument(paths.bundles, artifact.signatures!.bytes));
  editTargets(workspace, role, entries, now);
  return artifact;
}

function checkSigned(workspace: Workspace, { name, signatures }: Artifact): void {
  const rules = readSigningRules(workspace.directory);
  const wrong = (what: string): Error => signerError('RELEASE_NOT_SIGNED', `${releaseWords(name)} ${what}`);
  if (!signatures) throw wrong('has no code signature');
  if (!rules) throw wrong('cannot be judged: there is no code-signing authority');
  const { short, refused } = weighSignatures({ bundles: signatures.lines, component: name.component, ...rules });
  if (short.length > 0)
    throw wrong(
      `lacks signatures: ${short.map(({ role }) => role).join(', ')}${refused.length > 0 ? `; ${refused.length} do not count` : ''}`,
    );
}

/** The channel as it will be after publishing; null if it does not exist. */
export function nextChannel(workspace: Workspace, name: string): Channel | null {
  const bytes = workspace.readDocument('channels', channelPath(name));
  return bytes && channelFormat.parse(bytes, channelPath(name));
}

/** Writes a channel, offers and blocks in a fixed order. @throws CHANNEL_RULES FORMAT_* */
export function writeChannel(workspace: Workspace, channel: Channel, now: Date): void {
  const order = (a: { component: string; version: string }, b: { component: string; version: string }): number =>
    `${a.component} ${a.version}` < `${b.component} ${b.version}` ? -1 : 1;
  const whole = { ...channel, offers: [...channel.offers].sort(order), blocked: [...channel.blocked].sort(order) };
  checkChannel(whole, channel.channel);
  editDocument(workspace, 'channels', channelPath(channel.channel), channelFormat.serialize(whole), now);
}

export interface OfferOptions {
  readonly channel: string;
  readonly urgency: Offer['urgency'];
  readonly models?: readonly string[] | undefined;
  readonly stages: Offer['rollout']['stages'];
  readonly start?: string | undefined;
  readonly downgrade?: boolean | undefined;
  readonly existing: 'refuse' | 'replace';
}

/** Offers all of them, or none. @throws RELEASE_NOT_ADDED OFFER_EXISTS ARTIFACT_* */
export function offerReleases(
  workspace: Workspace,
  texts: readonly string[],
  options: OfferOptions,
  now: Date,
): Offer[] {
  const channel = nextChannel(workspace, options.channel) ?? emptyChannel(options.channel);
  const added = texts.map((text) => makeOffer(workspace, text, channel, options, now));
  const others = channel.offers.filter((one) => !added.some((offer) => isSameVersion(one, offer)));
  writeChannel(workspace, { ...channel, offers: [...others, ...added] }, now);
  return added;
}

const isSameVersion = (a: Offer, b: Offer): boolean =>
  a.component === b.component && a.version === b.version && a.platform === b.platform;

function makeOffer(workspace: Workspace, text: string, channel: Channel, options: OfferOptions, now: Date): Offer {
  const artifact = readArtifact(workspace.directory, findArtifact(workspace.directory, text));
  const { name, statement, release } = artifact;
  const { component, version, platform } = name;
  checkAdded(workspace, artifact);
  const offer: Offer = {
    component,
    version,
    platform: platform as Offer['platform'],
    models: [...(options.models ?? statement.predicate.manifest.models)],
    release,
    urgency: options.urgency,
    ...(options.downgrade ? { downgrade: true as const } : {}),
    rollout: { start: options.start ?? timeText(now), stages: options.stages },
  };
  if (options.existing === 'refuse' && channel.offers.some((one) => isSameVersion(one, offer)))
    throw signerError('OFFER_EXISTS', `${options.channel} offers ${releaseWords(name)} already`);
  return offer;
}

const emptyChannel = (name: string): Channel => ({
  _type: 'https://countersign.dev/channel/v1',
  channel: name,
  offers: [],
  blocked: [],
});

/** Checks that what the role lists signs exactly the statement that is packed here. */
function checkAdded(workspace: Workspace, { name, statementBytes, signatures }: Artifact): void {
  const bundles = bundlesOf(workspace, name);
  // The signatures packed here were already checked against this statement when they were read.
  if (bundles && signatures?.bytes.equals(bundles)) return;
  if (!bundles || !readBundles(bundles)[0].statement.equals(statementBytes))
    throw signerError(
      'RELEASE_NOT_ADDED',
      `${releaseWords(name)} is not in ${componentRole(name.component)} as it is packed and signed here`,
    );
}

/** Changes an offer of the channel. @throws OFFER_MISSING */
export function changeOffer(
  workspace: Workspace,
  channelName: string,
  text: string,
  change: (offer: Offer) => Offer | null,
  now: Date,
): void {
  const [, component, version, platform] = /^([^@]+)@([^:]+)(?::(.+))?$/.exec(text) ?? [];
  const channel = nextChannel(workspace, channelName);
  const isMeant = (offer: Offer): boolean =>
    offer.component === component &&
    offer.version === version &&
    (platform === undefined || offer.platform === platform);
  if (!channel?.offers.some(isMeant)) throw signerError('OFFER_MISSING', `${channelName} does not offer ${text}`);
  const offers = channel.offers.flatMap((offer) => (isMeant(offer) ? (change(offer) ?? []) : [offer]));
  writeChannel(workspace, { ...channel, offers }, now);
}
