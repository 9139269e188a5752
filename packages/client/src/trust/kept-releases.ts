/** Keeps releases that were judged good, with their evidence: for a device without a network, and to describe what was offered. */
import { timeText } from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import type { JudgedRelease, FetchedRelease, ReleaseReference } from './release-evidence.ts';

/** Evidence that was good before; null if there is none. It does not tell what metadata lists now. */
export function readEvidence(device: Device, release: string): FetchedRelease | null {
  const row = device.database.prepare('SELECT bundles, texts, judged FROM release WHERE release = ?').get(release) as
    { bundles: Uint8Array; texts: Uint8Array; judged: string } | undefined;
  if (row === undefined) return null;
  const { tufKeyIds } = JSON.parse(row.judged) as { tufKeyIds: string[] };
  return { bundles: row.bundles, texts: row.texts, tufKeyIds, listed: null };
}

/** The signed statement and the texts as they were judged; null if the release is not kept. */
export function keptRelease(device: Device, release: string): { statement: Uint8Array; texts: Uint8Array } | null {
  const row = device.database.prepare('SELECT statement, texts FROM release WHERE release = ?').get(release);
  return (row as { statement: Uint8Array; texts: Uint8Array } | undefined) ?? null;
}

export function keepRelease(
  device: Device,
  { component, version, platform, release }: ReleaseReference,
  { statementBytes }: Pick<JudgedRelease, 'statementBytes'>,
  { bundles, texts, tufKeyIds }: FetchedRelease,
): void {
  const judged = JSON.stringify({ at: timeText(device.clock()), tufKeyIds });
  device.database
    .prepare('INSERT OR REPLACE INTO release VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    .run(release, component, version, platform, statementBytes, bundles, texts, judged);
}
