/** §5.6: targets roles, and the search for a target among them (§5.6.7). */
import { escapeText } from '../text.ts';
import { delegatedRole, delegatesOf } from './delegation.ts';
import { openMetadata, verifySigners } from './envelope.ts';
import { checkExpiry } from './expiry.ts';
import { checkBytes } from './hashes.ts';
import { readTargets, type MetaFile, type Target } from './metadata.ts';
import { readValue, type TrustedState } from './trusted-state.ts';
import { tufError } from './tuf-errors.ts';

/** A target as its role lists it. `sha256` is empty where the role does not list one; it then matches no file. */
export interface TargetFile {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
  readonly hashes: Readonly<Record<string, string>>;
  readonly custom?: unknown;
}

/** The limits of a search. The defaults are those of other TUF clients. */
export interface SearchLimits {
  /** Delegated roles visited in one search, besides the top-level one. */
  readonly maximumDelegations?: number;
}

export type Finding =
  /** `roles` are those visited, the last one lists the target. */
  | { readonly kind: 'found'; readonly target: TargetFile; readonly roles: readonly string[] }
  /** The search goes on once this role is trusted by `updateTargets`. */
  | { readonly kind: 'needs'; readonly role: string; readonly delegator: string }
  | { readonly kind: 'absent'; readonly roles: readonly string[] };

/** What the trusted snapshot says of a role. @throws TUF_MISSING */
export function targetsMeta(state: TrustedState, role: string): MetaFile {
  if (!state.snapshot) throw tufError('TUF_MISSING', `there is no trusted snapshot to read ${escapeText(role)} by`);
  const name = `${role}.json`;
  const { meta, version } = state.snapshot.signed;
  // §5.6.1: a role that snapshot does not name is not fetched.
  if (!Object.hasOwn(meta, name))
    throw tufError('TUF_MISSING', `snapshot ${version} does not name ${escapeText(role)}`);
  return meta[name]!;
}

/**
 * A targets role, as `delegator` (`root` for the top-level one) delegates to it.
 * @throws TUF_MISSING TUF_HASH TUF_DELEGATION TUF_FORMAT TUF_SIGNATURE TUF_VERSION TUF_EXPIRED
 */
export function updateTargets(
  state: TrustedState,
  role: string,
  delegator: string,
  bytes: Uint8Array,
  now: Date,
): TrustedState {
  if (state.snapshot) checkExpiry(state.snapshot.signed, now, `snapshot ${state.snapshot.signed.version}`);
  const next = restoreTargets(state, role, delegator, bytes);
  // §5.6.5
  checkExpiry(next.targets.get(role)!.signed, now, escapeText(role, 80));
  return next;
}

/**
 * The same for a role of an earlier run, read back from where it was kept: everything but expiry is judged.
 * @throws TUF_MISSING TUF_HASH TUF_DELEGATION TUF_FORMAT TUF_SIGNATURE TUF_VERSION
 */
export function restoreTargets(state: TrustedState, role: string, delegator: string, bytes: Uint8Array): TrustedState {
  const meta = targetsMeta(state, role);
  const what = `${escapeText(role, 80)} ${meta.version}`;
  // §5.6.2: before anything is parsed.
  const known = state.targets.get(role);
  const digest = checkBytes(bytes, meta, what, known?.bytes === bytes ? known.sha256 : undefined);
  const envelope = openMetadata(bytes, what);
  // §5.6.3
  const trust = delegationOf(state, role, delegator);
  const signers = verifySigners(envelope, trust.role, trust.keys, what);
  const same = known?.sha256 === digest ? known : undefined;
  const signed = same ? same.signed : readTargets(readValue(envelope, what), what);
  // §5.6.4
  if (signed.version !== meta.version)
    throw tufError('TUF_VERSION', `${escapeText(role)} has version ${signed.version}, snapshot names ${meta.version}`);
  const delegators = new Map(same?.delegators).set(delegator, signers);
  return {
    ...state,
    targets: new Map(state.targets).set(role, { signed, bytes, sha256: digest, signers, delegators }),
  };
}

function delegationOf(state: TrustedState, role: string, delegator: string) {
  const { root } = state;
  if (delegator === 'root' && role === 'targets') return { role: root.signed.roles.targets, keys: root.signed.keys };
  const delegations = state.targets.get(delegator)?.signed.delegations;
  const found = delegations && delegatedRole(delegations, role);
  if (!found) throw tufError('TUF_DELEGATION', `${escapeText(delegator)} does not delegate to ${escapeText(role)}`);
  return found;
}

/**
 * §5.6.7: pre-order, depth-first, in order of trust; a terminating delegation ends what comes after it; a role is visited once.
 * Call it again after each `needs`. @throws TUF_LIMIT
 */
export function findTarget(state: TrustedState, path: string, limits: SearchLimits = {}): Finding {
  const maximum = limits.maximumDelegations ?? 32;
  const visited = new Set<string>();
  const stack = [{ name: 'targets', delegator: 'root' }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { name, delegator } = next;
    // §5.6.7.1: cycles end here.
    if (visited.has(name)) continue;
    if (visited.size > maximum)
      throw tufError(
        'TUF_LIMIT',
        `the search for ${escapeText(path)} visited ${maximum} delegated roles, as many as it may`,
      );
    const trusted = state.targets.get(name);
    // That another role delegated to it does not mean that this one did.
    if (!trusted?.delegators.has(delegator)) return { kind: 'needs', role: name, delegator };
    visited.add(name);
    const { targets, delegations } = trusted.signed;
    if (Object.hasOwn(targets, path))
      return { kind: 'found', target: targetFile(path, targets[path]!), roles: [...visited] };
    if (!delegations) continue;
    const delegates = delegatesOf(delegations, path);
    // §5.6.7.2.1
    if (delegates.at(-1)?.terminating) stack.length = 0;
    for (const delegate of delegates.reverse()) stack.push({ name: delegate.name, delegator: name });
  }
  return { kind: 'absent', roles: [...visited] };
}

/** The name under which a repository with consistent snapshots keeps a target (§6.2.1): its digest before its file name. */
export function consistentTargetName(path: string, digest: string): string {
  const slash = path.lastIndexOf('/') + 1;
  return `${path.slice(0, slash)}${digest}.${path.slice(slash)}`;
}

function targetFile(path: string, target: Target): TargetFile {
  const { length, hashes, custom } = target;
  const digest = Object.hasOwn(hashes, 'sha256') ? hashes.sha256! : '';
  return { path, length, sha256: digest, hashes, ...(custom === undefined ? {} : { custom }) };
}
