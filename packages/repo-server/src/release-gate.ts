/**
 * The publish gate for what TUF merely carries: authority chains, revocations, channels and releases. Each is judged by the same
 * functions that devices use (`judgeRelease`) and refused with the code that they would give. Only what is new is judged. So a
 * release may be revoked, or its signer leave, without stopping every later publication.
 */
import {
  authorityPath,
  bundleFile,
  channelFormat,
  channelPath,
  checkChannel,
  checkTwoPersons,
  judgeRelease,
  judgeSignatures,
  maximumBundleBytes,
  maximumChainBytes,
  readChain,
  releaseError,
  releasePaths,
  releaseTextsFormat,
  revocationsFormat,
  revocationsPath,
  type AuthorityKind,
  type Channel,
  type CodesignAuthority,
  type Offer,
  type ReleaseBundles,
  type ReleaseName,
  type Revocations,
  type TrustedTargets,
} from '@countersign/protocol';
import { serverError } from './errors.ts';

/** Roles by name with their verified signers, and how to read a listed target. */
export interface RepositoryView {
  readonly roles: ReadonlyMap<string, TrustedTargets>;
  /** The bytes of a small target, checked against its length and digest. @throws TRUST_DOCUMENT where a device would */
  read(path: string, maximumBytes: number): Promise<Buffer>;
}

export interface ShippedChains {
  readonly codesign: Uint8Array;
  readonly devices: Uint8Array;
}

const refused = (what: string): Error => serverError('PUBLICATION_REFUSED', what);

/** One publication as it is judged. */
interface Judging {
  readonly next: RepositoryView;
  readonly codesign: CodesignAuthority;
  readonly revocations: Revocations;
  /** Releases that were judged good, each with what named it. */
  readonly judged: Set<string>;
  readonly bundles: Map<string, () => ReleaseBundles>;
}

const keyOf = ({ component, version, platform }: ReleaseName): string => `${component} ${version} ${platform}`;
const offerKey = (offer: Offer): string => `${keyOf(offer)} ${offer.release}`;

/**
 * Checks in the order of a device, so that the code is the one that a device gives. Checks that only the gate makes give
 * PUBLICATION_REFUSED.
 * @throws PUBLICATION_REFUSED AUTHORITY_* CODESIGN_* RELEASE_* OFFER_RELEASE TRUST_DOCUMENT DOWNLOAD_NOT_LISTED CHANNEL_* FORMAT_*
 */
export async function checkContents(
  next: RepositoryView,
  before: RepositoryView | null,
  shipped: ShippedChains,
): Promise<void> {
  await checkChain('devices', next, before, shipped);
  const codesign = (await checkChain('codesign', next, before, shipped)) as CodesignAuthority;
  const revocations = revocationsFormat.parse(await next.read(revocationsPath, revocationsFormat.maximumBytes));
  checkOnly(next, 'revocations', [revocationsPath]);
  const judging = { next, codesign, revocations, judged: new Set<string>(), bundles: new Map() } satisfies Judging;
  const channels = await readChannels(next, before);
  const fresh = new Map<string, ReleaseFiles>();
  for (const [name, role] of next.roles)
    if (name.startsWith('component-'))
      for (const release of newReleases(role, before?.roles.get(name))) fresh.set(keyOf(release), release);
  for (const channel of channels) await checkOffers(judging, channel, fresh, before);
  const offered = new Set(channels.flatMap(({ channel }) => channel.offers.map(keyOf)));
  for (const [key, release] of fresh) if (!offered.has(key)) await judge(judging, release, null);
}

async function checkChain(
  kind: AuthorityKind,
  next: RepositoryView,
  before: RepositoryView | null,
  shipped: ShippedChains,
): Promise<unknown> {
  const path = authorityPath(kind);
  checkOnly(next, 'authority', [authorityPath('codesign'), authorityPath('devices')]);
  const accepted = before ? readChain(kind, await before.read(path, maximumChainBytes), shipped[kind]).digests : [];
  return readChain(kind, await next.read(path, maximumChainBytes), shipped[kind], accepted).body;
}

function checkOnly({ roles }: RepositoryView, role: string, paths: readonly string[]): void {
  const extra = Object.keys(roles.get(role)?.signed.targets ?? {}).find((path) => !paths.includes(path));
  if (extra !== undefined) throw refused(`role ${role} lists ${extra}, which no device reads`);
}

interface ReleaseFiles extends ReleaseName {
  readonly paths: readonly string[];
}

/** Releases with a file that is new or listed differently than before. */
function newReleases(role: TrustedTargets, before: TrustedTargets | undefined): ReleaseFiles[] {
  const groups = new Map<string, ReleaseFiles & { paths: string[]; fresh: boolean }>();
  for (const [path, target] of Object.entries(role.signed.targets)) {
    const found = /^components\/([^/]+)\/([^/]+)\/(win32-x64|linux-x64|any)\.[^/]*$/.exec(path);
    if (!found) throw refused(`${path} belongs to no release`);
    const [component, version, platform] = found.slice(1) as [string, string, string];
    const group = groups.get(`${version} ${platform}`) ?? { component, version, platform, paths: [], fresh: false };
    group.paths.push(path);
    const known = before?.signed.targets;
    const old = known && Object.hasOwn(known, path) ? known[path] : undefined;
    if (old?.length !== target.length || old.hashes.sha256 !== target.hashes.sha256) group.fresh = true;
    groups.set(`${version} ${platform}`, group);
  }
  return [...groups.values()].filter(({ fresh }) => fresh);
}

/** Judges by the code of devices; and every listed file of the release must be code-signed. */
async function judge(judging: Judging, { paths, ...name }: ReleaseFiles, release: string | null): Promise<void> {
  const { component, version, platform } = name;
  const { next, codesign, revocations, judged } = judging;
  const key = `${keyOf(name)} ${release ?? ''}`;
  if (judged.has(key)) return;
  const own = releasePaths(component, version, platform);
  const bundles = await bundlesAt(judging, own.bundles);
  const texts = await next.read(own.texts, releaseTextsFormat.maximumBytes);
  const role = next.roles.get(`component-${component}`);
  const evidence = { bundles, texts, signers: role?.signers ?? [], listed: role?.signed.targets ?? {} };
  const { statement } = judgeRelease({ name, release, evidence, codesign, revocations });
  const signed = new Set([own.bundles, ...statement.subject.map(({ name: path }) => path)]);
  const extra = paths.find((path) => !signed.has(path));
  if (extra !== undefined) throw refused(`${extra} was not code-signed`);
  judged.add(key);
}

/** Reads each bundle file once, even if several offers name its release. */
async function bundlesAt({ next, bundles }: Judging, path: string): Promise<() => ReleaseBundles> {
  const known = bundles.get(path) ?? bundleFile(await next.read(path, maximumBundleBytes));
  bundles.set(path, known);
  return known;
}

interface ReadChannel {
  readonly channel: Channel;
  /** Offers that it held before. */
  readonly standing: ReadonlySet<string>;
}

async function readChannels(next: RepositoryView, before: RepositoryView | null): Promise<ReadChannel[]> {
  const paths = Object.keys(next.roles.get('channels')?.signed.targets ?? {});
  const read: ReadChannel[] = [];
  for (const path of paths) {
    const name = /^channels\/([a-z0-9-]+)\.json$/.exec(path)?.[1];
    if (name === undefined) throw refused(`role channels lists ${path}, which is no channel`);
    const { maximumBytes } = channelFormat;
    const channel = channelFormat.parse(await next.read(channelPath(name), maximumBytes));
    checkChannel(channel, name);
    const had = before && Object.hasOwn(before.roles.get('channels')?.signed.targets ?? {}, path);
    const standing = new Set(
      had ? channelFormat.parse(await before.read(path, maximumBytes)).offers.map(offerKey) : [],
    );
    read.push({ channel, standing });
  }
  return read;
}

/**
 * Judges what is newly offered or has files that are new, changed or gone. Of every other offer it checks only that two persons
 * still stand behind it.
 */
async function checkOffers(
  judging: Judging,
  { channel, standing }: ReadChannel,
  fresh: ReadonlyMap<string, ReleaseFiles>,
  before: RepositoryView | null,
): Promise<void> {
  for (const offer of channel.offers) {
    const { component, version, platform, release } = offer;
    const paths = pathsOf(judging.next, offer);
    const kept = before !== null && pathsOf(before, offer).every((path) => paths.includes(path));
    if (kept && !fresh.has(keyOf(offer)) && standing.has(offerKey(offer))) {
      await checkStillTwoPersons(judging, offer, before);
      continue;
    }
    if (paths.length === 0)
      throw releaseError(
        'TRUST_DOCUMENT',
        `channel ${channel.channel} offers ${component} ${version} ${platform}, which is not published`,
      );
    await judge(judging, { component, version, platform, paths }, release);
  }
}

/** The files of a release that its component's role lists. */
function pathsOf({ roles }: RepositoryView, { component, version, platform }: ReleaseName): string[] {
  const prefix = `components/${component}/${version}/${platform}.`;
  const targets = roles.get(`component-${component}`)?.signed.targets ?? {};
  return Object.keys(targets).filter((path) => path.startsWith(prefix));
}

/**
 * The signers of a component's role may change. What was on offer with two persons behind it must then still have two, or devices
 * would refuse it from now on. Other reasons for a refusal do not depend on the signers and are ignored.
 */
async function checkStillTwoPersons(
  judging: Judging,
  { component, version, platform }: Offer,
  before: RepositoryView | null,
): Promise<void> {
  const { next, codesign, revocations } = judging;
  const signersIn = (view: RepositoryView | null): readonly string[] =>
    view?.roles.get(`component-${component}`)?.signers ?? [];
  const [old, signers] = [signersIn(before), signersIn(next)];
  if (signers.length === old.length && signers.every((keyid) => old.includes(keyid))) return;
  const expected = { component, version, platform };
  const bundles = await bundlesAt(judging, releasePaths(component, version, platform).bundles);
  let identities: string[];
  try {
    const { signatures } = judgeSignatures({ bundles: bundles(), authority: codesign, revocations, expected });
    identities = signatures.map(({ identity }) => identity);
    checkTwoPersons(codesign, component, old, identities);
  } catch {
    return;
  }
  checkTwoPersons(codesign, component, signers, identities);
}
