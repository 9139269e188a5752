/**
 * Reads trust back at the start of a process. The recorded root is recognised by its digest. Where its file is damaged or lost,
 * the roots are walked again from the shipped one, and each must be the recorded one. That root verifies the roles again; a role
 * that fails counts as absent. Recorded floors hold in every case.
 */
import { codeOf } from '../../error.ts';
import { sha256 } from '../../text.ts';
import type { Root } from '../../tuf/metadata.ts';
import { checkProfile } from '../../tuf/profile.ts';
import { restoreSnapshot } from '../../tuf/snapshot.ts';
import { restoreTargets } from '../../tuf/targets.ts';
import { restoreTimestamp } from '../../tuf/timestamp.ts';
import { isRecovery, trustRoot, updateRoot, type TrustedRole, type TrustedState } from '../../tuf/trusted-state.ts';
import { tufError } from '../../tuf/tuf-errors.ts';
import type { MetadataStore, TrustRecord } from './metadata-store.ts';

interface Start {
  readonly store: MetadataStore;
  readonly shippedRoot: Uint8Array;
  readonly profile: 'strict' | 'general';
}

/** The newest root that is known, and the record. @throws TUF_FORMAT TUF_SIGNATURE TUF_PROFILE TUF_ROOT_CHANGED */
export async function restoreRoot(start: Start): Promise<{ state: TrustedState; record: TrustRecord }> {
  const { store, shippedRoot, profile } = start;
  let record: TrustRecord = (await store.readRecord()) ?? { floors: new Map(), roots: new Map() };
  const shipped = trustRoot(shippedRoot, record.floors);
  if (profile === 'strict') checkProfile('root', shipped.root.signed, shippedRoot);
  checkRecordedRoot(record, shipped.root);
  const stored = await newestStored(store, record, shipped);
  if (stored && stored.root.signed.version > shipped.root.signed.version) return { state: stored, record };
  const { version } = shipped.root.signed;
  if (record.roots.has(version)) return { state: shipped, record };
  // The first start, or a newer program shipped a newer root. That root is then taken like a fetched one.
  const recovery = stored !== undefined && isRecovery(stored.root.signed, shipped.root.signed);
  const state = recovery ? trustRoot(shippedRoot) : shipped;
  await store.writeRoot(version, shippedRoot);
  if (recovery) {
    await store.remove('timestamp');
    await store.remove('snapshot');
  }
  record = { floors: state.floors, roots: new Map(record.roots).set(version, state.root.sha256) };
  await store.writeRecord(record);
  return { state, record };
}

async function newestStored(
  store: MetadataStore,
  record: TrustRecord,
  shipped: TrustedState,
): Promise<TrustedState | undefined> {
  const newest = Math.max(0, ...record.roots.keys());
  // The newest is the shipped one: nothing has to be read.
  if (newest === shipped.root.signed.version) return shipped;
  const bytes = newest === 0 ? undefined : await store.readRoot(newest);
  const digest = bytes && sha256(bytes);
  if (bytes && digest === record.roots.get(newest)) return trustRoot(bytes, record.floors, digest);
  return walkStored(store, record, shipped);
}

/** From the shipped root through the stored ones, as far as there are any; the repository has the rest. */
async function walkStored(store: MetadataStore, record: TrustRecord, shipped: TrustedState): Promise<TrustedState> {
  let state = shipped;
  for (;;) {
    const bytes = await store.readRoot(state.root.signed.version + 1);
    const next = bytes && attempt(() => updateRoot(state, bytes));
    if (!next || !isRecorded(record, next.root)) return state;
    state = { ...next, floors: record.floors };
  }
}

const isRecorded = ({ roots }: TrustRecord, root: TrustedRole<Root>): boolean =>
  (roots.get(root.signed.version) ?? root.sha256) === root.sha256;

/** Each root version is one file, for ever. @throws TUF_ROOT_CHANGED */
export function checkRecordedRoot(record: TrustRecord, root: TrustedRole<Root>): void {
  if (!isRecorded(record, root))
    throw tufError('TUF_ROOT_CHANGED', `root ${root.signed.version} differs from the one accepted before`, {
      context: { accepted: record.roots.get(root.signed.version), offered: root.sha256 },
    });
}

/** Timestamp, snapshot and top-level targets as they were kept, each only if this root still verifies it. */
export async function restoreRoles(
  { store, profile }: Pick<Start, 'store' | 'profile'>,
  root: TrustedState,
): Promise<TrustedState> {
  let state = root;
  const take = async (role: string, restore: (bytes: Uint8Array) => TrustedState): Promise<void> => {
    const bytes = await store.read(role);
    if (bytes !== undefined) state = attempt(() => restore(bytes)) ?? state;
  };
  await take('timestamp', (bytes) => restoreTimestamp(state, bytes));
  await take('snapshot', (bytes) => restoreSnapshot(state, bytes));
  if (state.snapshot)
    await take('targets', (bytes) => {
      const next = restoreTargets(state, 'targets', 'root', bytes);
      // A newer snapshot that also names it keeps it trusted without another judgement, so the profile is checked now.
      if (profile === 'strict') checkProfile('targets', next.targets.get('targets')!.signed, bytes);
      return next;
    });
  return state;
}

/** Undefined on a refusal; any other error is thrown on. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (codeOf(error)?.startsWith('TUF_')) return undefined;
    throw error;
  }
}
