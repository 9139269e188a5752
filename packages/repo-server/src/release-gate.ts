/**
 * The publish gate for what TUF merely carries: authority chains, revocations, channels and releases, each judged by the very code that
 * devices use. Only what is new is judged: a release may be revoked, or its signer leave, without stopping every later publication.
 */
import {
  authorityPath,
  channelFormat,
  channelPath,
  checkChannel,
  checkNotRevoked,
  checkTwoPersons,
  judgeRelease,
  readChain,
  readReleaseTexts,
  releasePaths,
  revocationsFormat,
  revocationsPath,
  type AuthorityKind,
  type CodesignAuthority,
  type Offer,
  type Revocations,
  type TrustedTargets,
  type Verdict,
} from '@countersign/protocol';
import { serverError } from './errors.ts';

/** Roles by name with their verified signers, and how to read a listed target. */
export interface RepositoryView {
  readonly roles: ReadonlyMap<string, TrustedTargets>;
  /** The bytes of a small target, checked against its length and digest. */
  read(path: string): Promise<Buffer>;
}

export interface ShippedChains {
  readonly codesign: Uint8Array;
  readonly devices: Uint8Array;
}

const refused = (what: string): Error => serverError('PUBLICATION_REFUSED', what);

/** @throws PUBLICATION_REFUSED, and the codes of what is refused: AUTHORITY_*, CODESIGN_*, RELEASE_*, CHANNEL_*, FORMAT_* */
export async function checkContents(
  next: RepositoryView,
  before: RepositoryView | null,
  shipped: ShippedChains,
): Promise<void> {
  const codesign = (await checkChain('codesign', next, before, shipped)) as CodesignAuthority;
  await checkChain('devices', next, before, shipped);
  const revocations = revocationsFormat.parse(await next.read(revocationsPath));
  checkOnly(next, 'revocations', [revocationsPath]);
  const verdicts = new Map<string, Verdict>();
  for (const [name, role] of next.roles)
    if (name.startsWith('component-'))
      for (const release of newReleases(role, before?.roles.get(name)))
        await judge(release, role, next, codesign, revocations, verdicts);
  for (const path of Object.keys(next.roles.get('channels')?.signed.targets ?? {}))
    await checkOffers(path, next, before, codesign, revocations, verdicts);
}

async function checkChain(
  kind: AuthorityKind,
  next: RepositoryView,
  before: RepositoryView | null,
  shipped: ShippedChains,
): Promise<unknown> {
  const path = authorityPath(kind);
  checkOnly(next, 'authority', [authorityPath('codesign'), authorityPath('devices')]);
  const accepted = before ? readChain(kind, await before.read(path), shipped[kind]).digests : [];
  return readChain(kind, await next.read(path), shipped[kind], accepted).body;
}

function checkOnly({ roles }: RepositoryView, role: string, paths: readonly string[]): void {
  const extra = Object.keys(roles.get(role)?.signed.targets ?? {}).find((path) => !paths.includes(path));
  if (extra !== undefined) throw refused(`role ${role} lists ${extra}, which no device reads`);
}

interface ReleaseFiles {
  readonly component: string;
  readonly version: string;
  readonly platform: string;
  readonly paths: readonly string[];
}

/** Releases with a file that was not listed just so before. */
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

async function judge(
  release: ReleaseFiles,
  role: TrustedTargets,
  next: RepositoryView,
  codesign: CodesignAuthority,
  revocations: Revocations,
  verdicts: Map<string, Verdict>,
): Promise<Verdict> {
  const { component, version, platform } = release;
  const key = `${component} ${version} ${platform}`;
  const known = verdicts.get(key);
  if (known) return known;
  const paths = releasePaths(component, version, platform);
  const verdict = judgeRelease({
    bundles: await next.read(paths.bundles),
    authority: codesign,
    revocations,
    expected: { component, version, platform },
  });
  checkNotRevoked(revocations, verdict.release, component, version);
  checkTwoPersons(
    codesign,
    component,
    role.signers,
    verdict.signatures.map(({ identity }) => identity),
  );
  for (const { name, digest, annotations } of verdict.statement.subject) {
    const target = Object.hasOwn(role.signed.targets, name) ? role.signed.targets[name] : undefined;
    if (target?.length !== annotations.length || target.hashes.sha256 !== digest.sha256)
      throw refused(`${name} is not listed as it was code-signed`);
  }
  const signed = new Set([paths.bundles, ...verdict.statement.subject.map(({ name }) => name)]);
  const extra = release.paths.find((path) => !signed.has(path));
  if (extra !== undefined) throw refused(`${extra} was not code-signed`);
  readReleaseTexts(verdict.statement, await next.read(paths.texts));
  verdicts.set(key, verdict);
  return verdict;
}

async function checkOffers(
  path: string,
  next: RepositoryView,
  before: RepositoryView | null,
  codesign: CodesignAuthority,
  revocations: Revocations,
  verdicts: Map<string, Verdict>,
): Promise<void> {
  const name = /^channels\/([a-z0-9-]+)\.json$/.exec(path)?.[1];
  if (name === undefined) throw refused(`role channels lists ${path}, which is no channel`);
  const channel = channelFormat.parse(await next.read(channelPath(name)));
  checkChannel(channel, name);
  const keyOf = (offer: Offer): string => `${offer.component} ${offer.version} ${offer.platform} ${offer.release}`;
  const hadChannel = before && Object.hasOwn(before.roles.get('channels')?.signed.targets ?? {}, path);
  const offered = new Set(hadChannel ? channelFormat.parse(await before.read(path)).offers.map(keyOf) : []);
  for (const offer of channel.offers) {
    const { component, version, platform } = offer;
    const role = next.roles.get(`component-${component}`);
    if (offered.has(keyOf(offer))) {
      await checkStillTwoPersons(offer, next, before, codesign, revocations);
      continue;
    }
    const prefix = `components/${component}/${version}/${platform}.`;
    const paths = Object.keys(role?.signed.targets ?? {}).filter((file) => file.startsWith(prefix));
    if (paths.length === 0)
      throw refused(`channel ${name} offers ${component} ${version} ${platform}, which is not published`);
    const verdict = await judge({ component, version, platform, paths }, role!, next, codesign, revocations, verdicts);
    if (verdict.release !== offer.release)
      throw refused(`channel ${name} offers another release of ${component} ${version} than is published`);
  }
}

/**
 * Who signs the component's role may change; what was on offer with two persons behind it must then still have two, or devices would
 * refuse it from now on. What they refuse for another reason is no matter of who signs.
 */
async function checkStillTwoPersons(
  { component, version, platform }: Offer,
  next: RepositoryView,
  before: RepositoryView | null,
  codesign: CodesignAuthority,
  revocations: Revocations,
): Promise<void> {
  const signersIn = (view: RepositoryView | null): readonly string[] =>
    view?.roles.get(`component-${component}`)?.signers ?? [];
  const [old, signers] = [signersIn(before), signersIn(next)];
  if (signers.length === old.length && signers.every((keyid) => old.includes(keyid))) return;
  const expected = { component, version, platform };
  const bundles = await next.read(releasePaths(component, version, platform).bundles);
  let identities: string[];
  try {
    const { signatures } = judgeRelease({ bundles, authority: codesign, revocations, expected });
    identities = signatures.map(({ identity }) => identity);
    checkTwoPersons(codesign, component, old, identities);
  } catch {
    return;
  }
  checkTwoPersons(codesign, component, signers, identities);
}
