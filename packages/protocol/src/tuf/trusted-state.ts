/**
 * What a TUF client trusts, as a value: every function takes a state and bytes from anywhere and returns a new state or throws a
 * coded error; the given state stays as it was. No file, network, clock or environment; time is an argument.
 *
 * Invariants: root is signed by its own keys; timestamp, snapshot and targets roles are verified under *this* root; snapshot is
 * the one that timestamp names and every targets role the one that snapshot names; bytes are exactly as received. Floors are the
 * highest versions ever accepted. They outlive roles and files, and are dropped only where §5.3.11 says so.
 */
import { keyMaterial } from '../public-key.ts';
import { sha256 } from '../text.ts';
import { malformed, openMetadata, verifySigners } from './envelope.ts';
import { checkExpiry } from './expiry.ts';
import { readRoot, type Role, type Root, type Snapshot, type Targets, type Timestamp } from './metadata.ts';
import { tufError } from './tuf-errors.ts';

export interface TrustedRole<T> {
  readonly signed: T;
  /** As received. */
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** Key ids whose signatures were good under the delegator. */
  readonly signers: readonly string[];
}

export interface TrustedTargets extends TrustedRole<Targets> {
  /** Roles whose delegation to this one was verified: authority never passes from one search path to another. */
  readonly delegators: ReadonlyMap<string, readonly string[]>;
}

/** Highest accepted version of `timestamp`, `snapshot` and each targets role that a trusted snapshot named. */
export type Floors = ReadonlyMap<string, number>;

export interface TrustedState {
  readonly root: TrustedRole<Root>;
  readonly timestamp?: TrustedRole<Timestamp>;
  readonly snapshot?: TrustedRole<Snapshot>;
  /** By role name; `targets` is the top-level one. */
  readonly targets: ReadonlyMap<string, TrustedTargets>;
  /** Until a newer snapshot arrives: the targets roles of the one before, to be kept where they stay the same. */
  readonly earlier?: ReadonlyMap<string, TrustedTargets>;
  readonly floors: Floors;
}

/**
 * The start of trust: a root that came with the program, or one on record, verified by its own keys. `digest` is the sha256 of these
 * bytes where the caller just computed it. @throws TUF_FORMAT TUF_SIGNATURE
 */
export function trustRoot(bytes: Uint8Array, floors: Floors = new Map(), digest = sha256(bytes)): TrustedState {
  const { root, envelope } = openRoot(bytes);
  const signers = verifySigners(envelope, root.roles.root, root.keys, `root ${root.version}`);
  return { root: { signed: root, bytes, sha256: digest, signers }, targets: new Map(), floors };
}

/**
 * §5.3: takes the next root. Roles that the old root verified are dropped; the caller loads them again under the new one. Floors
 * are dropped where timestamp or snapshot keys were rotated.
 * @throws TUF_FORMAT TUF_SIGNATURE TUF_VERSION
 */
export function updateRoot(state: TrustedState, bytes: Uint8Array): TrustedState {
  const before = state.root.signed;
  const { root, envelope } = openRoot(bytes);
  const what = `root ${root.version}`;
  // §5.3.4: signed by a threshold of the old root's keys and by one of its own.
  verifySigners(envelope, before.roles.root, before.keys, `${what} for root ${before.version}`);
  const signers = verifySigners(envelope, root.roles.root, root.keys, what);
  // §5.3.5: exactly the next one.
  if (root.version !== before.version + 1)
    throw tufError('TUF_VERSION', `root has version ${root.version}, expected is ${before.version + 1}`);
  const floors = isRecovery(before, root) ? new Map<string, number>() : state.floors;
  return { root: { signed: root, bytes, sha256: sha256(bytes), signers }, targets: new Map(), floors };
}

/** §5.3.11: whether a root rotates the keys of timestamp or snapshot, so that earlier versions do not count any more. */
export const isRecovery = (before: Root, after: Root): boolean =>
  rotates(before, after, 'timestamp') || rotates(before, after, 'snapshot');

/** Whether a key that could sign for the role no longer can. Adding a key is not a rotation. */
export function rotates(before: Root, after: Root, role: 'timestamp' | 'snapshot'): boolean {
  const kept = new Set(materials(after, after.roles[role]));
  return materials(before, before.roles[role]).some((material) => !kept.has(material));
}

function materials(root: Root, role: Role): string[] {
  return role.keyids.flatMap((keyid) => {
    const key = Object.hasOwn(root.keys, keyid) ? root.keys[keyid] : undefined;
    const material = key && keyMaterial(key);
    return material ? [material] : [];
  });
}

/** §5.3.10. @throws TUF_EXPIRED */
export function checkRootExpiry(state: TrustedState, now: Date): void {
  checkExpiry(state.root.signed, now, `root ${state.root.signed.version}`);
}

function openRoot(bytes: Uint8Array) {
  const envelope = openMetadata(bytes, 'root');
  return { envelope, root: readRoot(readValue(envelope, 'root')) };
}

/** The parsed `signed`; what JSON.parse throws is a refusal. @throws TUF_FORMAT */
export function readValue(envelope: { signed: () => unknown }, what: string): unknown {
  try {
    return envelope.signed();
  } catch (cause) {
    throw malformed(what, cause);
  }
}

/** The higher of what stands in both. */
export function raiseFloors(floors: Floors, seen: Iterable<readonly [string, number]>): Floors {
  let raised: Map<string, number> | undefined;
  for (const [role, version] of seen) {
    if (version > ((raised ?? floors).get(role) ?? 0)) (raised ??= new Map(floors)).set(role, version);
  }
  return raised ?? floors;
}
