/**
 * Keeps the two authority chains as this device has accepted them. Every line that was ever accepted is kept, even when metadata
 * is lost. So a shorter or other chain is refused, whatever the repository says. TUF only delivers the chains; their own
 * signatures judge their content.
 */
import { Buffer } from 'node:buffer';
import { readChain, type AuthorityBodies, type AuthorityChain, type AuthorityKind } from '@countersign/protocol';
import { appendAudit } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { readShippedPackage } from './trust-on-device.ts';

interface Line {
  readonly version: number;
  readonly sha256: string;
  readonly envelope: Uint8Array;
}

/** Every line that was accepted, in order. */
export const acceptedLines = (device: Device, kind: AuthorityKind): Line[] =>
  device.database
    .prepare('SELECT version, sha256, envelope FROM authority_line WHERE kind = ? ORDER BY version')
    .all(kind) as unknown as Line[];

/**
 * Judges a chain as the repository has it and keeps its new lines. The caller holds the device lock.
 * @throws AUTHORITY_CHAIN AUTHORITY_ROLLBACK AUTHORITY_FORK AUTHORITY_BODY FORMAT_* DEVICE_PACKAGE
 */
export function acceptChain<K extends AuthorityKind>(device: Device, kind: K, bytes: Uint8Array): AuthorityChain<K> {
  const accepted = acceptedLines(device, kind);
  const shipped = readShippedPackage(device)[kind];
  const chain = readChain(
    kind,
    bytes,
    shipped,
    accepted.map(({ sha256 }) => sha256),
  );
  if (chain.version > accepted.length)
    transact(device.database, () => {
      const insert = device.database.prepare('INSERT INTO authority_line VALUES (?, ?, ?, ?)');
      for (let at = accepted.length; at < chain.version; at++)
        insert.run(kind, at + 1, chain.digests[at]!, chain.lines[at]!);
      appendAudit(device, 'authority-accepted', {
        authority: kind,
        version: chain.version,
        line: chain.digests.at(-1)!,
      });
    });
  return chain;
}

/**
 * The newest accepted line of a chain, one envelope; null before any was accepted. Its signatures were judged when it was accepted.
 */
export function newestLine(device: Device, kind: AuthorityKind): { sha256: string; envelope: Uint8Array } | null {
  const row = device.database
    .prepare('SELECT sha256, envelope FROM authority_line WHERE kind = ? ORDER BY version DESC LIMIT 1')
    .get(kind);
  return (row as { sha256: string; envelope: Uint8Array } | undefined) ?? null;
}

interface Known {
  readonly digest: string;
  readonly body: AuthorityBodies[AuthorityKind];
}
const known = new WeakMap<Device['database'], Map<AuthorityKind, Known>>();

/** The newest body that this device accepted, or the shipped one; works without a network and past its expiry. */
export function lastAuthority<K extends AuthorityKind>(device: Device, kind: K): AuthorityBodies[K] {
  const digest = newestLine(device, kind)?.sha256 ?? 'shipped';
  let cache = known.get(device.database);
  if (cache === undefined) known.set(device.database, (cache = new Map<AuthorityKind, Known>()));
  const cached = cache.get(kind);
  if (cached?.digest === digest) return cached.body as AuthorityBodies[K];
  const lines = acceptedLines(device, kind);
  const shipped = readShippedPackage(device)[kind];
  const bytes =
    lines.length === 0
      ? shipped
      : Buffer.concat(lines.flatMap(({ envelope }) => [Buffer.from(envelope), Buffer.from('\n')]));
  const { body } = readChain(
    kind,
    bytes,
    shipped,
    lines.map(({ sha256 }) => sha256),
  );
  cache.set(kind, { digest, body });
  return body;
}
