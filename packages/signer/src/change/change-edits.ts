/**
 * Edits the pending change. An edit starts from the pending version of a role, or from the published one as its next version.
 * Signatures are dropped, since they covered other content. A change holds only roles whose content really differs, and each is
 * checked against the strict profile before it is written.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  checkProfile,
  rolePaths,
  serialize,
  timeText,
  type DelegatedRole,
  type Key,
  type Root,
  type Target,
  type Targets,
} from '@countersign/protocol';
import type { Workspace } from '../workspace/workspace.ts';

const dayMilliseconds = 24 * 3600_000;
const lifetimeDays: Readonly<Record<string, number>> = { revocations: 30, channels: 90 };
const specVersion = '1.0.34';

/** When a role's metadata made today expires: after a year, revocations after 30 days, channels after 90. */
export const expiryOf = (role: string, now: Date): string =>
  timeText(new Date(now.getTime() + (lifetimeDays[role] ?? 365) * dayMilliseconds));

export const emptyTargets = (role: string, now: Date): Targets => ({
  _type: 'targets',
  spec_version: specVersion,
  version: 1,
  expires: expiryOf(role, now),
  targets: {},
});

export const newRoot = (keys: Root['keys'], roles: Root['roles'], now: Date): Root => ({
  _type: 'root',
  spec_version: specVersion,
  version: 1,
  expires: expiryOf('root', now),
  consistent_snapshot: true,
  keys,
  roles,
});

/**
 * Writes a role's next content. If it equals the published content, the change does not touch the role any more; if it equals the
 * pending content, the signatures stay. True if something was written.
 */
export function writeRole(workspace: Workspace, role: string, content: Root | Targets, now: Date): boolean {
  const trusted = workspace.trustedRole(role)?.signed;
  const pending = workspace.pendingRole(role);
  if (trusted && isSameContent(trusted, content)) {
    workspace.dropPending(role);
    return false;
  }
  if (pending && isSameContent(pending.signed, content)) return false;
  writeVersion(workspace, role, content, now);
  return true;
}

/** Writes a new version even if its content is the same, for renewal. */
export function writeVersion(workspace: Workspace, role: string, content: Root | Targets, now: Date): void {
  const version = (workspace.trustedRole(role)?.signed.version ?? 0) + 1;
  const signed = { ...content, version, expires: expiryOf(role, now) };
  checkProfile(role, signed, serialize(signed, []));
  workspace.writePending(role, { signed, signatures: [] });
}

export const isSameContent = (a: Root | Targets, b: Root | Targets): boolean =>
  isDeepStrictEqual({ ...a, version: 0, expires: '' }, { ...b, version: 0, expires: '' });

/** Puts entries into a delegated role (null removes one) as its next version. */
export function editTargets(
  workspace: Workspace,
  role: string,
  entries: ReadonlyMap<string, Target | null>,
  now: Date,
): boolean {
  const { signed } = workspace.targets(role);
  const targets: Record<string, Target> = { ...signed.targets };
  for (const [path, target] of entries) {
    if (target) targets[path] = target;
    else delete targets[path];
  }
  return writeRole(workspace, role, { ...signed, targets }, now);
}

/** Puts a small document into a role. */
export const editDocument = (workspace: Workspace, role: string, path: string, bytes: Uint8Array, now: Date): boolean =>
  editTargets(workspace, role, new Map([[path, workspace.keepDocument(path, bytes)]]), now);

/** Gives a delegated role its keys, and creates the role, empty, if it is new. Other roles keep theirs. */
export function delegate(
  workspace: Workspace,
  name: string,
  { keys, threshold }: { keys: Readonly<Record<string, Key>>; threshold: number },
  now: Date,
): void {
  const { signed } = workspace.targets();
  const row: DelegatedRole = {
    name,
    keyids: Object.keys(keys),
    threshold,
    terminating: true,
    paths: rolePaths(name)!,
  };
  const rows = [...(signed.delegations?.roles ?? [])];
  const place = rows.findIndex((other) => other.name === name);
  if (place === -1) rows.push(row);
  else rows[place] = row;
  const used = new Set(rows.flatMap(({ keyids }) => keyids));
  const all = Object.entries({ ...signed.delegations?.keys, ...keys }).filter(([id]) => used.has(id));
  writeRole(workspace, 'targets', { ...signed, delegations: { keys: Object.fromEntries(all), roles: rows } }, now);
  const own = workspace.pendingRole(name) ?? workspace.trustedRole(name);
  // A role whose keys change must be signed by the new ones: the published version may not be valid any more.
  if (own) writeVersion(workspace, name, own.signed, now);
  else writeVersion(workspace, name, emptyTargets(name, now), now);
}
