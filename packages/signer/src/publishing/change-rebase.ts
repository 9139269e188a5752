/**
 * Rebase: takes what is published now and makes the pending change again on top of it. What the change added or removed, compared
 * with what it started from, is done again. Parts that were published meanwhile, from here or by somebody else, are left out.
 * Content that both sides changed differently is refused, never merged by a guess. It writes while it works, so call it on a copy.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ShippedPackage } from '@countersign/protocol/node';
import semver from 'semver';
import {
  authorityPath,
  channelFormat,
  openMetadata,
  revocationsFormat,
  revocationsPath,
  signedBytes,
  type Channel,
  type DelegatedRole,
  type Revocations,
  type Target,
  type Targets,
} from '@countersign/protocol';
import { authorityKinds, dropLine, nextBody, pendingLine, proposeLine } from '../change/chains.ts';
import { delegate, editDocument, editTargets, isSameContent, writeVersion } from '../change/change-edits.ts';
import { isEmpty } from '../change/change-signing.ts';
import { writeChannel } from '../change/releases.ts';
import { nextRevocations } from '../change/signing-rules.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readPublished, type PublishedState } from './published-state.ts';
import { readPackage } from './shipped-package.ts';

/** What a change did, apart from versions. */
interface ChangeContent {
  readonly delegations: readonly {
    before: DelegatedRole | undefined;
    after: DelegatedRole;
    keys: Record<string, never>;
  }[];
  readonly targets: ReadonlyMap<string, ReadonlyMap<string, Edit>>;
  readonly channels: ReadonlyMap<string, { before: Channel | null; after: Channel }>;
  readonly revocations: Revocations | null;
  readonly authorities: readonly ('codesign' | 'devices')[];
  /** Roles that were only renewed, from these versions. */
  readonly renewals: ReadonlyMap<string, number>;
}

/** An edit of a role's entry; null if the entry is absent. */
interface Edit {
  readonly before: Target | null;
  readonly after: Target | null;
}

/** @throws CHANGE_CONFLICT VERIFY_REFUSED TUF_* SOURCE_* WORKSPACE_DAMAGED */
export async function rebaseChange(workspace: Workspace, place: string, now: Date): Promise<{ roles: string[] }> {
  const shipped = readPackage((name) => workspace.file('package', name));
  if (!shipped)
    throw signerError('WORKSPACE_DAMAGED', `${workspace.file('package')} is not complete`, {
      hint: 'copy the folder package of somebody who publishes, or what ships with a device, to that place',
    });
  const state = await readPublished(place, shipped, now);
  dropPublished(workspace, state, shipped);
  if (isEmpty(workspace)) {
    workspace.discardChange();
    takeOver(workspace, state);
    return { roles: [] };
  }
  const root = workspace.pendingRole('root');
  if (root) checkRoot(workspace, state);
  const intent = contentOf(workspace);
  const bodies = new Map(intent.authorities.map((kind) => [kind, nextBody(workspace, kind)!]));
  for (const kind of intent.authorities) checkAuthority(workspace, state, kind);
  takeOver(workspace, state);
  // The documents of the change stay where they are; its roles are made again.
  for (const role of workspace.pendingRoles()) workspace.dropPending(role);
  if (root) workspace.writePending('root', root);
  for (const row of intent.delegations) applyDelegation(workspace, row, now);
  for (const [role, edits] of intent.targets) applyTargets(workspace, role, edits, now);
  for (const [path, { before, after }] of intent.channels) applyChannel(workspace, path, before, after, now);
  if (intent.revocations) applyRevocations(workspace, intent.revocations, now);
  for (const [kind, body] of bodies) proposeLine(workspace, kind, body as never, now);
  for (const [role, version] of intent.renewals) {
    if (workspace.pendingRole(role)) continue;
    const { signed } = workspace.role(role);
    // With a new root, targets must be signed again by the keys that it gives them.
    if (signed.version === version || (role === 'targets' && root)) writeVersion(workspace, role, signed, now);
  }
  return { roles: [...workspace.pendingRoles(), ...intent.authorities] };
}

/** Makes a server's published state the base of this workspace. */
const takeOver = (workspace: Workspace, state: PublishedState): void =>
  workspace.replaceTrusted(publishedRoles(state), state.documents);

function publishedRoles({ session, roles }: PublishedState): Map<string, Uint8Array> {
  const { root, targets } = session.state;
  const all = new Map<string, Uint8Array>([['root', root.bytes]]);
  for (const [name, role] of new Map([...targets, ...roles])) all.set(name, role.bytes);
  return all;
}

/**
 * Removes from the change what the repository already has in the same form: published from here (and the answer got lost), or by
 * somebody else.
 */
function dropPublished(workspace: Workspace, state: PublishedState, shipped: ShippedPackage): void {
  if (workspace.trustedRoles().length === 0) {
    // The first change is pending, and the repository already has it.
    const root = workspace.pendingRole('root');
    if (root && !signedBytes(root.signed).equals(openMetadata(shipped.root, 'root').signedBytes))
      throw signerError(
        'CHANGE_CONFLICT',
        'the pending change makes another repository than the one that is published',
      );
    return workspace.discardChange();
  }
  const published = publishedRoles(state);
  for (const role of workspace.pendingRoles()) {
    const bytes = published.get(role);
    if (bytes && signedBytes(workspace.pendingRole(role)!.signed).equals(openMetadata(bytes, role).signedBytes))
      workspace.dropPending(role);
  }
  for (const kind of authorityKinds) {
    const payload = pendingLine(workspace, kind)?.envelope.payload;
    const chain = state.documents.get(authorityPath(kind))!.toString('utf8');
    if (payload !== undefined && chain.includes(`"payload":${JSON.stringify(payload)}`)) dropLine(workspace, kind);
  }
}

function contentOf(workspace: Workspace): ChangeContent {
  const pending = workspace.pendingRoles();
  const before = (role: string): Targets | undefined => workspace.trustedRole(role)?.signed as Targets | undefined;
  const after = (role: string): Targets => workspace.pendingRole(role)!.signed as Targets;
  const targets = new Map<string, Map<string, Edit>>();
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
  return {
    delegations: pending.includes('targets') ? changedRows(before('targets'), after('targets')) : [],
    targets,
    channels,
    revocations: pending.includes('revocations') ? nextRevocations(workspace) : null,
    authorities: authorityKinds.filter(
      (kind) => !isDeepStrictEqual(nextBody(workspace, kind), publishedBody(workspace, kind)),
    ),
    renewals: new Map(
      pending.flatMap((role) => {
        const published = workspace.trustedRole(role)?.signed;
        const renewed = role !== 'root' && published && isSameContent(published, after(role));
        return renewed ? [[role, published.version]] : [];
      }),
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
): Map<string, Edit> {
  const edits = new Map<string, Edit>();
  for (const path of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const edit = { before: before[path] ?? null, after: after[path] ?? null };
    if (!isDeepStrictEqual(edit.before, edit.after)) edits.set(path, edit);
  }
  return edits;
}

function changedRows(before: Targets | undefined, after: Targets): ChangeContent['delegations'] {
  const old = new Map((before?.delegations?.roles ?? []).map((row) => [row.name, row]));
  const { roles = [], keys } = after.delegations!;
  const isNew = (row: DelegatedRole): boolean => !isDeepStrictEqual(old.get(row.name), row);
  return roles.filter(isNew).map((row) => ({
    before: old.get(row.name),
    after: row,
    keys: Object.fromEntries(row.keyids.map((id) => [id, keys[id]])) as Record<string, never>,
  }));
}

const changedToo = (what: string): Error => signerError('CHANGE_CONFLICT', `${what} was changed by somebody else too`);

function applyDelegation(workspace: Workspace, row: ChangeContent['delegations'][number], now: Date): void {
  const { before, after, keys } = row;
  const current = workspace.targets().signed.delegations?.roles?.find(({ name }) => name === after.name);
  if (isDeepStrictEqual(current, after)) return;
  if (!isDeepStrictEqual(current, before)) throw changedToo(`who signs ${after.name}`);
  delegate(workspace, after.name, { keys, threshold: after.threshold }, now);
}

function applyTargets(workspace: Workspace, role: string, edits: ReadonlyMap<string, Edit>, now: Date): void {
  const listed = workspace.targets(role).signed.targets;
  for (const [path, { before, after }] of edits) {
    const current = listed[path] ?? null;
    if (!isDeepStrictEqual(current, before) && !isDeepStrictEqual(current, after)) throw changedToo(path);
  }
  editTargets(workspace, role, new Map([...edits].map(([path, { after }]) => [path, after])), now);
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
      // Both sides changed it, and differently.
      if (!isDeepStrictEqual(result.get(name), was.get(name)) && !isDeepStrictEqual(result.get(name), one))
        throw changedToo(`${path}: ${name.trim()}`);
      result.set(name, one);
    }
    for (const one of old) {
      const name = key(one);
      if (mine.some((other) => key(other) === name)) continue;
      if (result.has(name) && !isDeepStrictEqual(result.get(name), one)) throw changedToo(`${path}: ${name.trim()}`);
      result.delete(name);
    }
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

/** Revocations only add up: what anybody revoked stays revoked, and no minimum is lowered. */
function applyRevocations(workspace: Workspace, after: Revocations, now: Date): void {
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
    // One reason for revoking a release is enough.
    releases: [
      ...current.releases,
      ...after.releases.filter(({ release }) => !current.releases.some((one) => one.release === release)),
    ],
    minimum: { ...current.minimum },
  };
  for (const [component, version] of Object.entries(after.minimum)) {
    const theirs = Object.hasOwn(merged.minimum, component) ? merged.minimum[component]! : version;
    merged.minimum[component] = semver.gt(version, theirs) ? version : theirs;
  }
  editDocument(workspace, 'revocations', revocationsPath, revocationsFormat.serialize(merged), now);
}

/** A pending root stays as it is while it still follows the published one; a root is never made again automatically. */
function checkRoot(workspace: Workspace, { session }: PublishedState): void {
  const { version } = session.state.root.signed;
  if (workspace.trustedRole('root')?.signed.version !== version)
    throw signerError('CHANGE_CONFLICT', `root ${version} was published meanwhile`, {
      hint: 'discard the change and make it again: a root is never rebased',
    });
}

/** A new authority version replaces the whole body, so it is not made again on top of somebody else's. */
function checkAuthority(workspace: Workspace, { documents }: PublishedState, kind: 'codesign' | 'devices'): void {
  const own = workspace.readDocument('authority', authorityPath(kind), 'published');
  if (own && !documents.get(authorityPath(kind))!.equals(own))
    throw signerError('CHANGE_CONFLICT', `another version of the ${kind} authority was published meanwhile`, {
      hint: 'discard the change and make it again from the new version',
    });
}
