/**
 * Fetches small signed documents as targets, by the digest and length that trusted metadata gives. It keeps them with that
 * digest, so that an unchanged one is not fetched again. The caller judges their content.
 */
import { checkDocumentListed, sha256, timeText, type TargetFile } from '@countersign/protocol';
import { fetchDocument, lookUp, type MetadataSession } from '@countersign/protocol/node';
import type { Device } from '../device/device.ts';
import type { Connection, Server } from './servers.ts';

/** Where documents come from in one refresh. */
export interface OpenRepository {
  readonly session: MetadataSession;
  readonly server: Server;
  readonly connection: Connection;
}

/** The target's address with consistent snapshots: its digest before its name (specification §6.2.3). */
export function targetUrl(server: Server, target: TargetFile): URL {
  const cut = target.path.lastIndexOf('/') + 1;
  return new URL(`${target.path.slice(0, cut)}${target.sha256}.${target.path.slice(cut)}`, server.targetsUrl);
}

/**
 * The document's exact bytes, kept ones or from the server. Does not keep them: `keepDocument` does, after they were judged.
 * @throws TRUST_DOCUMENT (not listed, over `maximumBytes`, or not what was listed), TUF_* SOURCE_*
 */
export async function readDocument(
  device: Device,
  repository: OpenRepository,
  path: string,
  maximumBytes: number,
): Promise<{ bytes: Buffer; sha256: string }> {
  const target = checkDocumentListed(path, (await lookUp(repository.session, path)).target, maximumBytes);
  const kept = keptDocument(device, path);
  if (kept?.sha256 === target.sha256 && sha256(kept.bytes) === target.sha256)
    return { bytes: Buffer.from(kept.bytes), sha256: target.sha256 };
  const { server, connection } = repository;
  const limits = { ...connection.limits, dispatcher: connection.dispatcher };
  return { bytes: await fetchDocument(targetUrl(server, target), target, limits), sha256: target.sha256 };
}

/** The document as it was last accepted; null if it never was. */
export function keptDocument(device: Device, path: string): { sha256: string; bytes: Uint8Array } | null {
  const row = device.database.prepare('SELECT sha256, bytes FROM document WHERE path = ?').get(path);
  return (row as { sha256: string; bytes: Uint8Array } | undefined) ?? null;
}

export function keepDocument(device: Device, path: string, bytes: Uint8Array): void {
  device.database
    .prepare('INSERT OR REPLACE INTO document (path, sha256, bytes, accepted) VALUES (?, ?, ?, ?)')
    .run(path, sha256(bytes), bytes, timeText(device.clock()));
}
