/** §5.4: the timestamp role. */
import { sha256 } from '../text.ts';
import { openMetadata, verifySigners } from './envelope.ts';
import { checkExpiry } from './expiry.ts';
import { readTimestamp, type MetaFile } from './metadata.ts';
import { checkRootExpiry, raiseFloors, readValue, type TrustedState } from './trusted-state.ts';
import { tufError } from './tuf-errors.ts';

/**
 * Takes a timestamp from anywhere. If its version equals the trusted one's, the state is returned unchanged and the bytes are not
 * kept (§5.4.3.1); the trusted one must not be expired either.
 * @throws TUF_FORMAT TUF_SIGNATURE TUF_ROLLBACK TUF_EXPIRED
 */
export function updateTimestamp(state: TrustedState, bytes: Uint8Array, now: Date): TrustedState {
  checkRootExpiry(state, now);
  const { next, version } = judge(state, bytes);
  if (state.timestamp?.signed.version === version) {
    checkExpiry(state.timestamp.signed, now, `timestamp ${version}`);
    return state;
  }
  // §5.4.4
  checkExpiry(next.timestamp!.signed, now, `timestamp ${version}`);
  return next;
}

/**
 * The timestamp of an earlier run, read back from where it was kept. It counts against rollback even when it is expired, and must
 * be checked by `checkExpiry` before it is used. @throws TUF_FORMAT TUF_SIGNATURE TUF_ROLLBACK
 */
export const restoreTimestamp = (state: TrustedState, bytes: Uint8Array): TrustedState => judge(state, bytes).next;

function judge(state: TrustedState, bytes: Uint8Array): { next: TrustedState; version: number } {
  const { root } = state;
  const envelope = openMetadata(bytes, 'timestamp');
  // §5.4.2
  const signers = verifySigners(envelope, root.signed.roles.timestamp, root.signed.keys, 'timestamp');
  const signed = readTimestamp(readValue(envelope, 'timestamp'));
  const meta = signed.meta['snapshot.json'];
  // §5.4.3.1
  const floor = state.floors.get('timestamp') ?? 0;
  if (signed.version < floor)
    throw tufError('TUF_ROLLBACK', `timestamp has version ${signed.version}, accepted before was ${floor}`);
  // §5.4.3.2
  const snapshotFloor = state.floors.get('snapshot') ?? 0;
  if (signed.version !== state.timestamp?.signed.version && meta.version < snapshotFloor)
    throw tufError('TUF_ROLLBACK', `timestamp names snapshot ${meta.version}, accepted before was ${snapshotFloor}`);
  const timestamp = { signed, bytes, sha256: sha256(bytes), signers };
  const floors = raiseFloors(state.floors, [
    ['timestamp', signed.version],
    ['snapshot', meta.version],
  ]);
  const kept =
    state.snapshot !== undefined && isSame(state.snapshot, meta)
      ? { snapshot: state.snapshot, targets: state.targets }
      : { targets: new Map(), earlier: state.earlier ?? state.targets };
  return { next: { root, timestamp, ...kept, floors }, version: signed.version };
}

/** Whether a role already trusted is exactly the one that newer metadata names. */
export function isSame(
  role: { readonly signed: { readonly version: number }; readonly sha256: string; readonly bytes: Uint8Array },
  meta: MetaFile,
): boolean {
  if (role.signed.version !== meta.version) return false; // check: another version
  if (meta.length !== undefined && meta.length !== role.bytes.length) return false; // check: another length
  return meta.hashes === undefined || (Object.hasOwn(meta.hashes, 'sha256') && meta.hashes.sha256 === role.sha256);
}
