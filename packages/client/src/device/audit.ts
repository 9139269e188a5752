/**
 * Keeps the device's audit trail: one hash chain over everything that was approved, installed, refused, granted or revoked, in
 * the `audit` table. Bodies are RFC 8785 bytes of an object with its time `at`; an approval's body carries its DSSE envelope.
 * Invariants: records are only ever added; each binds the one before; the newest is also named in `settings`, so that cutting off
 * the end is noticed. It proves what the service recorded, but does not resist an administrator who rewrites the whole database.
 * Must never hold a secret or a person's name: persons appear as salted commitments, explained in `audit_person`.
 */
import { Buffer } from 'node:buffer';
import {
  signedByEnvelope,
  shortDigest,
  canonicalBytes,
  envelopeFormat,
  parseCanonical,
  sha256,
  timeText,
  verifySignature,
  type PublicKey,
} from '@countersign/protocol';
import { transact } from './database.ts';
import type { Device } from './device.ts';
import { clientError } from './errors.ts';
import { readSetting, writeSetting, type ChainHead } from './settings.ts';

interface AuditRow {
  readonly sequence: number;
  readonly kind: string;
  readonly at: string;
  readonly body: Uint8Array;
  readonly previous: string;
  readonly digest: string;
}

const bodyLimit = 4 << 20;
const none = '0'.repeat(64);

/** The record's digest binds its place, its kind, its bytes and the record before. */
const link = (previous: ChainHead | null, kind: string, body: Uint8Array): ChainHead => {
  const sequence = (previous?.sequence ?? 0) + 1;
  const record = { previous: previous?.digest ?? none, sequence, kind, body: sha256(body) };
  return { sequence, digest: sha256(canonicalBytes(record)) };
};

/**
 * Adds one record, inside the caller's transaction if there is one. `kind` is kebab-case; `body` must be plain JSON
 * without `at`, which is added. The caller holds the device lock.
 */
export function appendAudit(device: Device, kind: string, body: Readonly<Record<string, unknown>>): ChainHead {
  const { database } = device;
  const append = (): ChainHead => {
    const last = database.prepare('SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1').get();
    const previous = (last as ChainHead | undefined) ?? null;
    const at = timeText(device.clock());
    const bytes = canonicalBytes({ ...body, at });
    const head = link(previous, kind, bytes);
    database
      .prepare('INSERT INTO audit (sequence, kind, at, body, previous, digest) VALUES (?, ?, ?, ?, ?, ?)')
      .run(head.sequence, kind, at, bytes, previous?.digest ?? none, head.digest);
    writeSetting(database, 'auditHead', { sequence: head.sequence, digest: head.digest });
    return head;
  };
  return database.isTransaction ? append() : transact(database, append);
}

/**
 * Verifies the whole trail: every link and time, every clear name against its commitment, and every approval's signatures against
 * the keys that the trail itself introduced. @throws AUDIT_BROKEN naming the record
 */
export function verifyAudit(device: Device): { records: number; head: string } {
  const { database } = device;
  const keys = new Map<string, PublicKey>();
  let previous: ChainHead | null = null;
  for (const row of rows(device)) {
    const expected: ChainHead = link(previous, row.kind, row.body);
    if (row.sequence !== expected.sequence)
      throw broken(row.sequence, `record ${expected.sequence} is missing before it`);
    if (row.previous !== (previous?.digest ?? none)) throw broken(row.sequence, 'it does not follow the record before');
    if (row.digest !== expected.digest) throw broken(row.sequence, 'its content is not what was digested');
    const body = parseCanonical(row.body, `audit record ${row.sequence}`, bodyLimit) as Record<string, unknown>;
    if (body.at !== row.at) throw broken(row.sequence, 'its time is not the time in its content');
    const { key, keyid } = body as { key?: PublicKey; keyid?: string };
    if (key !== undefined && keyid !== undefined) keys.set(keyid, key);
    if (body.envelope !== undefined) checkEnvelope(row.sequence, body.envelope, keys);
    previous = { sequence: row.sequence, digest: row.digest };
  }
  const head = readSetting(database, 'auditHead');
  // equivalent: the digest covers the number, so either comparison is enough
  if (head?.sequence !== previous?.sequence || head?.digest !== previous?.digest)
    throw clientError(
      'AUDIT_BROKEN',
      `the trail ends at record ${previous?.sequence ?? 0}, the device last wrote ${head?.sequence ?? 0}`,
    );
  for (const person of persons(device))
    if (personCommitment(person.salt, person.account, person.printed_name) !== person.commitment)
      throw clientError('AUDIT_BROKEN', `the name behind commitment ${shortDigest(person.commitment)} was changed`);
  return { records: previous?.sequence ?? 0, head: previous?.digest ?? none };
}

/**
 * The trail for an auditor as JSON lines: a header, every record with its exact bytes, then the clear names that are still kept.
 * Verifies the trail first. @throws AUDIT_BROKEN
 */
export function* exportAudit(device: Device): Generator<string> {
  const { records, head } = verifyAudit(device);
  yield line({
    _type: 'https://countersign.dev/audit-export/v1',
    device: readSetting(device.database, 'device') ?? null,
    records,
    head,
    exported: timeText(device.clock()),
  });
  for (const { body, ...row } of rows(device)) yield line({ ...row, body: Buffer.from(body).toString('utf8') });
  for (const person of persons(device)) yield line({ person });
}

const line = (value: unknown): string => `${canonicalBytes(value).toString('utf8')}\n`;

/** Whether the trail has a record of that kind. */
export const hasRecord = (device: Device, kind: string): boolean =>
  device.database.prepare('SELECT 1 FROM audit WHERE kind = ? LIMIT 1').get(kind) !== undefined;

/** A person's clear names, with the salt of the commitment that stands for them in the chain. */
export interface Person {
  readonly salt: string;
  readonly account: string;
  readonly printedName: string;
}

/** Keeps the clear names behind a commitment; only the commitment goes into the chain. */
export function keepPerson(device: Device, commitment: string, { salt, account, printedName }: Person): void {
  device.database
    .prepare('INSERT INTO audit_person (commitment, salt, account, printed_name) VALUES (?, ?, ?, ?)')
    .run(commitment, salt, account, printedName);
}

/** The name behind a commitment; null if it was erased. */
export function printedNameOf(device: Device, commitment: string): string | null {
  const row = device.database.prepare('SELECT printed_name FROM audit_person WHERE commitment = ?').get(commitment) as
    { printed_name: string } | undefined;
  return row?.printed_name ?? null;
}

/** The commitment that represents a person in the chain; the chain stays whole when the side-table row is erased. */
export const personCommitment = (salt: string, account: string, printedName: string): string =>
  sha256(canonicalBytes({ salt, account, printedName }));

function checkEnvelope(sequence: number, value: unknown, keys: ReadonlyMap<string, PublicKey>): void {
  const envelope = envelopeFormat.check(value, `the envelope of audit record ${sequence}`);
  const signed = signedByEnvelope(envelope);
  for (const { keyid, sig } of envelope.signatures) {
    const key = keys.get(keyid);
    if (key === undefined) throw broken(sequence, `the key ${shortDigest(keyid)} that signed it was never introduced`);
    if (!verifySignature(key, signed, Buffer.from(sig, 'base64').toString('hex')))
      throw broken(sequence, `the signature of key ${shortDigest(keyid)} does not hold`);
  }
}

const broken = (sequence: number, what: string): Error =>
  clientError('AUDIT_BROKEN', `audit record ${sequence}: ${what}`, { context: { sequence } });

const rows = (device: Device): IterableIterator<AuditRow> =>
  device.database
    .prepare('SELECT sequence, kind, at, body, previous, digest FROM audit ORDER BY sequence')
    .iterate() as unknown as IterableIterator<AuditRow>;

interface PersonRow {
  readonly commitment: string;
  readonly salt: string;
  readonly account: string;
  readonly printed_name: string;
}

const persons = (device: Device): PersonRow[] =>
  device.database
    .prepare('SELECT commitment, salt, account, printed_name FROM audit_person ORDER BY commitment')
    .all() as unknown as PersonRow[];
