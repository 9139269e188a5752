/**
 * Says in words what the pending change does, for those who sign it: first what it does to devices, and of that the capabilities.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  shortDigest,
  channelFormat,
  escapeText,
  readBundles,
  revocationsFormat,
  revocationsPath,
  sha256,
  statementFormat,
  type Channel,
  type Manifest,
  type Offer,
  type Root,
  type Targets,
} from '@countersign/protocol';
import { releaseWords } from '../releases/artifacts.ts';
import { bundlesOf } from '../releases/release-bundles.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { authorityKinds, nextBody, publishedChain } from './chains.ts';

export function describeChange(workspace: Workspace): string[] {
  const pending = workspace.pendingRoles();
  const lines: string[] = [];
  if (pending.includes('channels')) lines.push(...describeChannels(workspace));
  if (pending.includes('revocations')) lines.push(...describeRevocations(workspace));
  for (const kind of authorityKinds) {
    const next = nextBody(workspace, kind);
    if (next && next.version !== publishedChain(workspace, kind)?.version)
      lines.push(
        kind === 'codesign'
          ? `code-signing authority version ${next.version}: whose code signatures devices believe`
          : `devices policy version ${next.version}: what devices may be offered and who approves it`,
      );
  }
  for (const role of pending.filter((name) => name.startsWith('component-')))
    lines.push(...describeComponent(workspace, role));
  if (pending.includes('targets')) lines.push(...describeDelegations(workspace));
  if (pending.includes('root')) lines.push(describeRoot(workspace.root().signed));
  return lines;
}

function describeChannels(workspace: Workspace): string[] {
  const manifest = manifestReader(workspace);
  return Object.keys((workspace.targets('channels').signed as Targets).targets).flatMap((path) => {
    const read = (which: 'next' | 'published'): Channel | null => {
      const bytes = workspace.readDocument('channels', path, which);
      return bytes && channelFormat.parse(bytes, path);
    };
    const [before, after] = [read('published'), read('next')!];
    const was = before?.offers ?? [];
    const same = (a: Offer, b: Offer): boolean =>
      a.component === b.component && a.version === b.version && a.platform === b.platform;
    const lines: string[] = [];
    for (const offer of after.offers) {
      const old = was.find((other) => same(other, offer));
      if (isDeepStrictEqual(old, offer)) continue;
      lines.push(
        `${after.channel}: ${offer.component} ${offer.version} (${offer.platform}, ${offer.urgency}) is ${old ? 'offered in another way' : 'offered'} to ${offer.models.includes('*') ? 'every model' : escapeText(offer.models.join(', '))}, ${describeRollout(offer)}`,
      );
      const earlier = was.filter(({ component }) => component === offer.component);
      if (!old) lines.push(...describeCapabilities(manifest(offer), earlier.map(manifest)));
      if (offer.downgrade) lines.push('  devices may go BACK to it from a newer version');
    }
    for (const offer of was)
      if (!after.offers.some((other) => same(other, offer)))
        lines.push(`${after.channel}: ${offer.component} ${offer.version} (${offer.platform}) is no longer offered`);
    for (const { component, version, reason } of after.blocked)
      if (!before?.blocked.some((one) => one.component === component && one.version === version))
        lines.push(`${after.channel}: ${component} ${version} is BLOCKED: ${escapeText(reason)}`);
    return lines;
  });
}

const describeRollout = ({ rollout: { start, stages } }: Offer): string =>
  `from ${start}: ${stages.map(({ hours, percent }) => (hours === 0 ? `${percent} % at once` : `${percent} % within ${hours} h`)).join(', then ')}`;

function describeCapabilities(manifest: Manifest | null, earlier: readonly (Manifest | null)[]): string[] {
  if (!manifest) return ['  its manifest is not in this workspace: its capabilities cannot be told'];
  const known = new Set(earlier.flatMap((other) => other?.capabilities.map(({ id }) => id) ?? []));
  return manifest.capabilities.map(
    ({ id, risk, required, title }) =>
      `  ${known.has(id) ? 'capability' : 'NEW CAPABILITY'} ${id} (${risk}${required ? ', required' : ''}): ${escapeText(Object.hasOwn(title, 'en') ? title.en! : id)}`,
  );
}

/** Finds the manifest of an offered release, null if it is not here; reads the bundles of each release once. */
function manifestReader(workspace: Workspace): (offer: Offer) => Manifest | null {
  const statements = new Map<string, Buffer | null>();
  return ({ release, ...name }) => {
    const key = releaseWords(name);
    if (!statements.has(key)) {
      const bundles = bundlesOf(workspace, name);
      statements.set(key, bundles && readBundles(bundles)[0].statement);
    }
    const statement = statements.get(key)!;
    return statement && sha256(statement) === release ? statementFormat.parse(statement).predicate.manifest : null;
  };
}

function describeRevocations(workspace: Workspace): string[] {
  const read = (which: 'next' | 'published') => {
    const bytes = workspace.readDocument('revocations', revocationsPath, which);
    return bytes && revocationsFormat.parse(bytes, revocationsPath);
  };
  const [before, after] = [read('published'), read('next')];
  const fresh = <T>(old: readonly T[] | undefined, now: readonly T[]): T[] =>
    now.filter((one) => !old?.some((other) => isDeepStrictEqual(other, one)));
  return [
    ...fresh(before?.releases, after!.releases).map(
      (one) => `release ${shortDigest(one.release)} is REVOKED: ${escapeText(one.reason)}`,
    ),
    ...fresh(before?.certificates, after!.certificates).map(
      (one) => `code-signing certificate ${shortDigest(one.tbs)} is REVOKED: ${escapeText(one.reason)}`,
    ),
    ...fresh(before?.keys, after!.keys).map(
      (one) => `code-signing key ${shortDigest(one.spki)} is REVOKED: ${escapeText(one.reason)}`,
    ),
    ...Object.entries(after!.minimum).flatMap(([component, version]) =>
      before?.minimum[component] === version ? [] : [`${component} below ${version} is no longer installed anywhere`],
    ),
  ];
}

function describeComponent(workspace: Workspace, role: string): string[] {
  const before = (workspace.trustedRole(role)?.signed as Targets | undefined)?.targets ?? {};
  const releases = (targets: Targets['targets']): Set<string> =>
    new Set(
      Object.keys(targets)
        .filter((path) => path.endsWith('.release.sigstore.jsonl'))
        .map((path) => path.split('/').slice(1, 3).join(' ')),
    );
  const [old, now] = [releases(before), releases(workspace.targets(role).signed.targets)];
  return [
    ...[...now].filter((name) => !old.has(name)).map((name) => `${name} becomes available for offering`),
    ...[...old].filter((name) => !now.has(name)).map((name) => `${name} is taken away`),
  ];
}

function describeDelegations(workspace: Workspace): string[] {
  const before = (workspace.trustedRole('targets')?.signed as Targets | undefined)?.delegations?.roles ?? [];
  const after = workspace.targets().signed.delegations?.roles ?? [];
  return after.flatMap((row) => {
    const old = before.find(({ name }) => name === row.name);
    if (isDeepStrictEqual(old, row)) return [];
    return [
      `role ${row.name} ${old ? 'gets other keys' : 'is new'}: ${row.threshold} of ${row.keyids.length} keys must sign`,
    ];
  });
}

const describeRoot = ({ version, roles }: Root): string =>
  `root ${version}: ${roles.root.threshold} of ${roles.root.keyids.length} keys for root, ${roles.targets.threshold} of ${roles.targets.keyids.length} for targets`;
