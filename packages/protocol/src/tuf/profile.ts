/**
 * Countersign's profile, which publisher and device enforce in addition to the specification: one shape of repository, small
 * limits, every role with its own row and paths. It is a separate layer: the core stays general, and a file must pass both.
 */
import { keyMaterial } from '../public-key.ts';
import { escapeText } from '../text.ts';
import { matchesPattern } from './delegation.ts';
import { openMetadata } from './envelope.ts';
import type { Delegations, Key, MetaFile, Role, Root, Snapshot, Targets, Timestamp } from './metadata.ts';
import { issuedTime } from './signed-time.ts';
import { tufError } from './tuf-errors.ts';

/** Maximum bytes of a file of each kind, here and in the general workflow. */
export const maximumBytes = { root: 512_000, timestamp: 16_384, snapshot: 2_000_000, targets: 5_000_000 } as const;
const maximumSignatures = 16;
const maximumTargets = 500;
export const maximumRoles = 1000;

const refuse = (role: string, fault: string) => tufError('TUF_PROFILE', `${escapeText(role, 80)}: ${fault}`);

/** The paths of a delegated role's row; undefined for a name that has no row. */
export function rolePaths(role: string): readonly string[] | undefined {
  if (role === 'authority' || role === 'revocations' || role === 'channels' || role === 'brake') return [`${role}/*`];
  const component = /^component-([a-z][a-z0-9-]{0,62})$/.exec(role)?.[1];
  return component === undefined ? undefined : [`components/${component}/*/*`];
}

/** Checks a role's metadata after the core accepted it. @throws TUF_PROFILE */
export function checkProfile(role: string, signed: Root | Timestamp | Snapshot | Targets, bytes: Uint8Array): void {
  const allowed = maximumBytes[signed._type];
  if (bytes.length > allowed) throw refuse(role, `it has ${bytes.length} bytes, allowed are ${allowed}`);
  if (openMetadata(bytes, role).signatures.length > maximumSignatures)
    throw refuse(role, `it has more than ${maximumSignatures} signatures`);
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/.test(signed.expires)) throw refuse(role, 'expires has fractions');
  if (signed._type === 'root') checkRoot(signed);
  else if (signed._type === 'timestamp') checkTimestamp(signed);
  else if (signed._type === 'snapshot') checkSnapshot(signed);
  else if (role === 'targets') checkTopLevel(signed);
  else checkDelegated(role, signed);
}

function checkRoot({ consistent_snapshot: consistent, roles, keys }: Root): void {
  if (!consistent) throw refuse('root', 'consistent_snapshot is off');
  for (const [name, role] of Object.entries(roles)) {
    if (name !== 'root' && name !== 'timestamp' && name !== 'snapshot' && name !== 'targets')
      throw refuse('root', `it has a role ${escapeText(name, 80)}`);
    checkKeys('root', role, keys);
  }
}

function checkTimestamp(timestamp: Timestamp): void {
  if (Object.keys(timestamp.meta).length !== 1) throw refuse('timestamp', 'it names more than snapshot');
  checkOneHash('timestamp', 'snapshot.json', timestamp.meta['snapshot.json']);
  if (issuedTime(timestamp) === undefined) throw refuse('timestamp', 'it does not say when it was issued');
}

function checkSnapshot({ meta }: Snapshot): void {
  const names = Object.keys(meta);
  if (names.length > maximumRoles)
    throw refuse('snapshot', `it names ${names.length} roles, allowed are ${maximumRoles}`);
  for (const name of names) {
    if (name !== 'targets.json' && rolePaths(name.replace(/\.json$/, '')) === undefined)
      throw refuse('snapshot', `it names ${escapeText(name, 80)}, which is no role of ours`);
    checkOneHash('snapshot', name, meta[name]!);
  }
}

function checkTopLevel({ targets, delegations }: Targets): void {
  if (Object.keys(targets).length > 0) throw refuse('targets', 'the top-level role lists targets itself');
  if (delegations) checkDelegations(delegations);
}

function checkDelegations({ roles, keys }: Delegations): void {
  if (roles === undefined) throw refuse('targets', 'it delegates to bins');
  if (roles.length > maximumRoles)
    throw refuse('targets', `it delegates to ${roles.length} roles, allowed are ${maximumRoles}`);
  for (const role of roles) {
    const paths = rolePaths(role.name);
    if (paths === undefined)
      throw refuse('targets', `it delegates to ${escapeText(role.name, 80)}, which is no role of ours`);
    // The paths must be exactly those of the row, so that no two delegations overlap.
    if (role.paths?.length !== paths.length || role.paths.some((path, i) => path !== paths[i]))
      throw refuse('targets', `it delegates other paths to ${role.name} than ${paths.join(', ')}`);
    if (!role.terminating) throw refuse('targets', `its delegation to ${role.name} is not terminating`);
    checkKeys(role.name, role, keys);
  }
}

function checkDelegated(role: string, { targets, delegations }: Targets): void {
  const patterns = rolePaths(role);
  if (patterns === undefined) throw refuse(role, 'it is no role of ours');
  if (delegations !== undefined) throw refuse(role, 'a delegated role delegates further');
  const paths = Object.keys(targets);
  if (paths.length > maximumTargets)
    throw refuse(role, `it lists ${paths.length} targets, allowed are ${maximumTargets}`);
  for (const path of paths) {
    if (!isTargetPath(path) || !patterns.some((pattern) => matchesPattern(path, pattern)))
      throw refuse(role, `it lists ${escapeText(path)}`);
    checkOneHash(role, path, targets[path]!);
  }
}

/** Names that mean the same to every client, file system and URL. */
export const isTargetPath = (path: string): boolean =>
  // checks: each of them refuses some names
  path.length <= 300 &&
  path.split('/').every((segment) => /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(segment) && !segment.includes('..'));

/** Exactly one hash, sha256, and always a length. */
function checkOneHash(role: string, name: string, entry: Pick<MetaFile, 'length' | 'hashes'>): void {
  const hashes = Object.entries(entry.hashes ?? {});
  const [algorithm, digest] = hashes[0] ?? [];
  if (entry.length === undefined) throw refuse(role, `it gives no length for ${escapeText(name)}`);
  if (hashes.length !== 1 || algorithm !== 'sha256' || !/^[0-9a-f]{64}$/.test(digest ?? ''))
    throw refuse(role, `it gives not exactly a sha256 for ${escapeText(name)}`);
}

/** Enough different usable keys for the threshold, each named once. */
function checkKeys(name: string, role: Role, keys: Readonly<Record<string, Key>>): void {
  if (role.keyids.length > maximumSignatures) throw refuse(name, `it has more than ${maximumSignatures} keys`);
  const different = new Set<string>();
  for (const keyid of role.keyids) {
    const key = Object.hasOwn(keys, keyid) ? keys[keyid] : undefined;
    const material = key && keyMaterial(key);
    if (!material) throw refuse(name, `its key ${escapeText(keyid, 80)} is missing or unusable`);
    different.add(material);
  }
  if (different.size !== role.keyids.length) throw refuse(name, 'one key stands under two key ids');
  if (different.size < role.threshold)
    throw refuse(name, `it has ${different.size} keys, its threshold is ${role.threshold}`);
}
