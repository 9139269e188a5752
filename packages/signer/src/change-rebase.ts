/**
 * Rebase: takes what is published now and makes the pending change again on top of it. What the change added or took away, compared
 * with what it started from, is done once more; content that both sides changed in different ways is refused, never merged by guess.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  authorityPath,
  channelFormat,
  revocationsFormat,
  revocationsPath,
  type Channel,
  type DelegatedRole,
  type Revocations,
  type Target,
  type Targets,
} from '@countersign/protocol';
import { delegate, editDocument, editTargets } from './change.ts';
import { authorityKinds, nextBody, proposeLine } from './chains.ts';
import { isEmpty } from './change-signing.ts';
import { signerError } from './errors.ts';
import { readPublished, type PublishedState } from './published-state.ts';
import { readPackage } from './shipped-package.ts';
import { writeChannel } from './releases.ts';
import type { Workspace } from './workspace.ts';

/** What a change did, apart from versions. */
interface Intent {
  readonly delegations: readonly { name: string; keys: Record<string, never>; threshold: number }[];
  readonly targets: ReadonlyMap<string, ReadonlyMap<string, Target | null>>;
  readonly channels: ReadonlyMap<string, { before: Channel | null; after: Channel }>;
  readonly revocations: { before: Revocations | null; after: Revocations } | null;
  readonly authorities: readonly ('codesign' | 'devices')[];
}

/** @throws CHANGE_CONFLICT VERIFY_REFUSED TUF_* SOURCE_* WORKSPACE_DAMAGED */
export async function rebaseChange(workspace: Workspace, place: string, now: Date): Promise<{ roles: string[] }> {
  const shipped = readPackage((name) => workspace.file('package', name));
  if (!shipped) throw signerError('WORKSPACE_DAMAGED', `${workspace.file('package')} is not complete`);
  const state = await readPublished(place, shipped, now);
  if (isEmpty(workspace)) {
    takeOver(workspace, state);
    return { roles: [] };
  }
  const root = workspace.pendingRole('root');
  if (root) checkRoot(workspace, state);
  const intent = intentOf(workspace);
  const bodies = new Map(intent.authorities.map((kind) => [kind, nextBody(workspace, kind)!]));
  for (const kind of intent.authorities) checkAuthority(workspace, state, kind);
  takeOver(workspace, state);
  // The documents of the change stay where they are; its roles are made again.
  for (const role of workspace.pendingRoles()) workspace.dropPending(role);
  if (root) workspace.writePending('root', root);
  for (const row of intent.delegations) delegate(workspace, row.name, row, now);
  for (const [role, entries] of intent.targets) editTargets(workspace, role, entries, now);
  for (const [path, { before, after }] of intent.channels) applyChannel(workspace, path, before, after, now);
  if (intent.revocations) applyRevocations(workspace, intent.revocations, now);
  for (const [kind, body] of bodies) proposeLine(workspace, kind, body as never, now);
  return { roles: [...workspace.pendingRoles(), ...intent.authorities] };
}

/** What a server publishes becomes what this workspace starts from. */
export function takeOver(workspace: Workspace, { session, roles, documents }: PublishedState): void {
  const { root, targets } = session.state;
  const all = new Map<string, Uint8Array>([['root', root.bytes]]);
  for (const [name, role] of new Map([...targets, ...roles])) all.set(name, role.bytes);
  workspace.replaceTrusted(all, documents);
}

function intentOf(workspace: Workspace): Intent {
  const pending = workspace.pendingRoles();
  const before = (role: string): Targets | undefined => workspace.trustedRole(role)?.signed as Targets | undefined;
  const after = (role: string): Targets => workspace.pendingRole(role)!.signed as Targets;
  const targets = new Map<string, Map<string, Target | null>>();
  for (const role of pending.filter((name) => name.startsWith('component-')))
    targets.set(role, difference(before(role)?.targets ?? {}, after(role).targets));
  const channels = new Map<string, { before: Channel | null; after: Channel }>();
  if (pending.includes('channels'))
    for (const path of difference(before('channels')?.targets ?? {}, after('channels').targets).keys()) {
      const read = (which: 'next' | 'published'): Channel | null => {
        const bytes = workspace.readDocument('channels', path, which);
        return bytes && channelFormat.parse(bytes, path);
      };
      const next = read('next');
      if (next) channels.set(path, { before: read('published'), after: next });
    }
  const read = (which: 'next' | 'published'): Revocations | null => {
    const bytes = workspace.readDocument('revocations', revocationsPath, which);
    return bytes && revocationsFormat.parse(bytes, revocationsPath);
  };
  return {
    delegations: pending.includes('targets') ? changedRows(before('targets'), after('targets')) : [],
    targets,
    channels,
    revocations: pending.includes('revocations') ? { before: read('published'), after: read('next')! } : null,
    authorities: authorityKinds.filter(
      (kind) => !isDeepStrictEqual(nextBody(workspace, kind), publishedBody(workspace, kind)),
    ),
  };
}

function publishedBody(workspace: Workspace, kind: 'codesign' | 'devices'): unknown {
  const bytes = workspace.readDocument('authority', authorityPath(kind), 'published');
  if (!bytes) return null;
  const line = bytes.subarray(0, -1).toString('utf8').split('\n').at(-1)!;
  return JSON.parse(Buffer.from((JSON.parse(line) as { payload: string }).payload, 'base64').toString('utf8'));
}

function difference(
  before: Readonly<Record<string, Target>>,
  after: Readonly<Record<string, Target>>,
): Map<string, Target | null> {
  const entries = new Map<string, Target | null>();
  for (const [path, target] of Object.entries(after))
    if (before[path]?.hashes.sha256 !== target.hashes.sha256) entries.set(path, target);
  for (const path of Object.keys(before)) if (!Object.hasOwn(after, path)) entries.set(path, null);
  return entries;
}

function changedRows(before: Targets | undefined, after: Targets): Intent['delegations'] {
  const old = new Map((before?.delegations?.roles ?? []).map((row) => [row.name, row]));
  const { roles = [], keys } = after.delegations!;
  const isNew = (row: DelegatedRole): boolean => !isDeepStrictEqual(old.get(row.name), row);
  return roles.filter(isNew).map(({ name, keyids, threshold }) => ({
    name,
    threshold,
    keys: Object.fromEntries(keyids.map((id) => [id, keys[id]])) as Record<string, never>,
  }));
}

function applyChannel(workspace: Workspace, path: string, before: Channel | null, after: Channel, now: Date): void {
  const bytes = workspace.readDocument('channels', path);
  const current: Channel = bytes ? channelFormat.parse(bytes, path) : { ...after, offers: [], blocked: [] };
  const key = (one: { component: string; version: string; platform?: string }): string =>
    `${one.component} ${one.version} ${one.platform ?? ''}`;
  const merge = <T extends { component: string; version: string; platform?: string }>(
    old: readonly T[],
    mine: readonly T[],
    theirs: readonly T[],
  ): T[] => {
    const result = new Map(theirs.map((one) => [key(one), one]));
    const was = new Map(old.map((one) => [key(one), one]));
    for (const one of mine) {
      const name = key(one);
      if (isDeepStrictEqual(was.get(name), one)) continue;
      // Both sides changed it, and not alike.
      if (!isDeepStrictEqual(result.get(name), was.get(name)) && !isDeepStrictEqual(result.get(name), one))
        throw signerError('CHANGE_CONFLICT', `${path}: ${name.trim()} was changed by somebody else too`);
      result.set(name, one);
    }
    for (const one of old) if (!mine.some((other) => key(other) === key(one))) result.delete(key(one));
    return [...result.values()];
  };
  writeChannel(
    workspace,
    {
      ...current,
      offers: merge(before?.offers ?? [], after.offers, current.offers),
      blocked: merge(before?.blocked ?? [], after.blocked, current.blocked),
    },
    now,
  );
}

/** Revocations only add up: nothing that anybody revoked gets lost. */
function applyRevocations(workspace: Workspace, { after }: { after: Revocations }, now: Date): void {
  const bytes = workspace.readDocument('revocations', revocationsPath)!;
  const current = revocationsFormat.parse(bytes, revocationsPath);
  const union = <T extends object>(theirs: readonly T[], mine: readonly T[]): T[] => [
    ...theirs,
    ...mine.filter((one) => !theirs.some((other) => isDeepStrictEqual(other, one))),
  ];
  const merged: Revocations = {
    ...current,
    certificates: union(current.certificates, after.certificates),
    keys: union(current.keys, after.keys),
    releases: union(current.releases, after.releases),
    minimum: { ...current.minimum, ...after.minimum },
  };
  editDocument(workspace, 'revocations', revocationsPath, revocationsFormat.serialize(merged), now);
}

/** A pending root stays as it is while it still follows the published one; a root is never made again by itself. */
function checkRoot(workspace: Workspace, { session }: PublishedState): void {
  const { version } = session.state.root.signed;
  if (workspace.trustedRole('root')?.signed.version !== version)
    throw signerError('CHANGE_CONFLICT', `root ${version} was published meanwhile`, {
      hint: 'discard the change and make it again: a root is never rebased',
    });
}

/** A new authority version replaces the whole body: it is not made again over somebody else's. */
function checkAuthority(workspace: Workspace, { documents }: PublishedState, kind: 'codesign' | 'devices'): void {
  const own = workspace.readDocument('authority', authorityPath(kind), 'published');
  if (own && !documents.get(authorityPath(kind))!.equals(own))
    throw signerError('CHANGE_CONFLICT', `another version of the ${kind} authority was published meanwhile`, {
      hint: 'discard the change and make it again from the new version',
    });
}
