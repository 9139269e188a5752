/**
 * Makes the next versions of snapshot and timestamp from what is published and what is new. Pure except for signing. A snapshot
 * is valid for 7 days, a timestamp for 1 day; each is renewed when half of that is over.
 */
import {
  issuedField,
  sha256,
  timeText,
  type MetaFile,
  type Root,
  type Snapshot,
  type Timestamp,
} from '@countersign/protocol';
import { signOnline, type OnlineKeys } from './online-keys.ts';

const hour = 3_600_000;
export const lifetimes = { snapshot: 7 * 24 * hour, timestamp: 24 * hour } as const;
const specVersion = '1.0.34';

export const describeFile = (version: number, bytes: Uint8Array) =>
  ({ version, length: bytes.length, hashes: { sha256: sha256(bytes) } }) satisfies MetaFile;

export function writeSnapshot(
  version: number,
  meta: Snapshot['meta'],
  now: Date,
  keys: OnlineKeys,
  root: Root,
): Buffer {
  const signed = {
    _type: 'snapshot',
    spec_version: specVersion,
    version,
    expires: timeText(new Date(now.getTime() + lifetimes.snapshot)),
    meta,
  };
  return signOnline('snapshot', signed, keys, root);
}

export function writeTimestamp(
  version: number,
  /** What it names. */
  snapshot: MetaFile,
  now: Date,
  keys: OnlineKeys,
  root: Root,
): Buffer {
  const signed = {
    _type: 'timestamp',
    spec_version: specVersion,
    version,
    expires: timeText(new Date(now.getTime() + lifetimes.timestamp)),
    [issuedField]: timeText(now),
    meta: { 'snapshot.json': snapshot },
  };
  return signOnline('timestamp', signed, keys, root);
}

/** Whether half of a role's life is over. */
export const isDue = (
  role: keyof typeof lifetimes,
  signed: Pick<Snapshot | Timestamp, 'expires'>,
  now: Date,
): boolean => Date.parse(signed.expires) - now.getTime() < lifetimes[role] / 2;
