/** §5.5: the snapshot role. */
import { sha256 } from '../text.ts';
import { openMetadata, verifySigners } from './envelope.ts';
import { checkExpiry } from './expiry.ts';
import { checkBytes } from './hashes.ts';
import { readSnapshot, type Snapshot } from './metadata.ts';
import { isSame } from './timestamp.ts';
import { raiseFloors, readValue, type TrustedState, type TrustedTargets } from './trusted-state.ts';
import { tufError } from './tuf-errors.ts';

/**
 * The snapshot that the trusted timestamp names. Targets roles that it names unchanged stay trusted.
 * @throws TUF_FORMAT TUF_HASH TUF_SIGNATURE TUF_VERSION TUF_ROLLBACK TUF_EXPIRED TUF_MISSING
 */
export function updateSnapshot(state: TrustedState, bytes: Uint8Array, now: Date): TrustedState {
  const { root, timestamp } = state;
  if (!timestamp) throw tufError('TUF_MISSING', 'there is no trusted timestamp to read a snapshot by');
  checkExpiry(timestamp.signed, now, `timestamp ${timestamp.signed.version}`);
  const meta = timestamp.signed.meta['snapshot.json'];
  const what = `snapshot ${meta.version}`;
  // §5.5.2: before anything is parsed.
  const digest = checkBytes(bytes, meta, what);
  const { signed, signers } = openSnapshot(state, bytes, what);
  // §5.5.4
  if (signed.version !== meta.version)
    throw tufError('TUF_VERSION', `snapshot has version ${signed.version}, timestamp names ${meta.version}`);
  checkRoles(state, signed);
  // §5.5.6
  checkExpiry(signed, now, what);
  return {
    root,
    timestamp,
    snapshot: { signed, bytes, sha256: digest, signers },
    targets: keepUnchanged(state.earlier ?? state.targets, signed),
    floors: raiseFloors(state.floors, versionsOf(signed)),
  };
}

/**
 * The snapshot of an earlier run, read back from where it was kept. Its versions always count against rollback (§5.5.5). It is
 * trusted again only if the trusted timestamp still names it, and must then be checked by `checkExpiry`.
 * @throws TUF_FORMAT TUF_SIGNATURE TUF_ROLLBACK
 */
export function restoreSnapshot(state: TrustedState, bytes: Uint8Array): TrustedState {
  const { signed, signers } = openSnapshot(state, bytes, 'the stored snapshot');
  const floors = raiseFloors(state.floors, [['snapshot', signed.version], ...versionsOf(signed)]);
  const snapshot = { signed, bytes, sha256: sha256(bytes), signers };
  const next = { ...state, floors };
  if (!state.timestamp || !isSame(snapshot, state.timestamp.signed.meta['snapshot.json'])) return next;
  checkRoles(next, signed);
  // With it, nothing has to be kept for a later snapshot.
  const { earlier: _, ...rest } = next;
  return { ...rest, snapshot };
}

function openSnapshot(state: TrustedState, bytes: Uint8Array, what: string): { signed: Snapshot; signers: string[] } {
  const { roles, keys } = state.root.signed;
  const envelope = openMetadata(bytes, what);
  // §5.5.3
  const signers = verifySigners(envelope, roles.snapshot, keys, what);
  return { signed: readSnapshot(readValue(envelope, what), what), signers };
}

/** §5.5.5: no role goes back to an older version, and none disappears. */
function checkRoles(state: TrustedState, signed: Snapshot): void {
  for (const [role, floor] of state.floors) {
    if (role === 'timestamp' || role === 'snapshot') continue;
    const name = `${role}.json`;
    const meta = Object.hasOwn(signed.meta, name) ? signed.meta[name] : undefined;
    if (meta === undefined)
      throw tufError('TUF_ROLLBACK', `snapshot ${signed.version} no longer has ${role}, accepted before was ${floor}`);
    if (meta.version < floor)
      throw tufError(
        'TUF_ROLLBACK',
        `snapshot ${signed.version} names ${role} ${meta.version}, accepted before was ${floor}`,
      );
  }
}

/** Targets roles by name. Files that cannot be targets roles (`root.json` of old repositories) have no floor. */
function* versionsOf(signed: Snapshot): Generator<[string, number]> {
  for (const name of Object.keys(signed.meta)) {
    const role = name.endsWith('.json') ? name.slice(0, -5) : '';
    if (role !== '' && role !== 'root' && role !== 'timestamp' && role !== 'snapshot')
      yield [role, signed.meta[name]!.version];
  }
}

/** The roles that stay the same byte for byte and whose verified delegators stay too. */
function keepUnchanged(targets: ReadonlyMap<string, TrustedTargets>, signed: Snapshot): Map<string, TrustedTargets> {
  const kept = new Map<string, TrustedTargets>();
  for (const [role, trusted] of targets) {
    const name = `${role}.json`;
    const meta = Object.hasOwn(signed.meta, name) ? signed.meta[name] : undefined;
    if (meta?.hashes !== undefined && isSame(trusted, meta)) kept.set(role, trusted);
  }
  for (let before = -1; before !== kept.size;) {
    before = kept.size;
    for (const [role, trusted] of kept) {
      const delegators = [...trusted.delegators].filter(([delegator]) => delegator === 'root' || kept.has(delegator));
      if (delegators.length === 0) kept.delete(role);
      else if (delegators.length < trusted.delegators.size)
        kept.set(role, { ...trusted, delegators: new Map(delegators) });
    }
  }
  return kept;
}
