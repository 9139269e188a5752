/**
 * `device.db`: all state of a device that is not kept as a separate file. The schema here lists every table and the module that
 * owns it. All SQL over a table stands in its owner and in the test beside it; a test of the repository checks that.
 * `synchronous=FULL`: a committed transaction survives a power cut. Readers may read at any time; only the holder of the device
 * lock writes, except for `intents` and `accounts`.
 *
 * Documents are kept as the exact bytes that were signed or digested, with the columns needed to find them.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, isCoded, codeOf } from '@countersign/protocol';
import { nodeError } from '@countersign/protocol/node';
import { clientError } from './errors.ts';

export const schemaVersion = 2;

const tables = `
-- owner: device/settings.ts
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- owner: trust/trust-on-device.ts
-- Floors and records that outlive the metadata folder.
CREATE TABLE metadata_floor (role TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE root_record (version INTEGER PRIMARY KEY, sha256 TEXT NOT NULL) STRICT;
-- The entity tag under which the server gave the timestamp file with this sha256. One row.
CREATE TABLE metadata_tag (sha256 TEXT PRIMARY KEY, etag TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- owner: trust/authorities.ts
-- Highest accepted version of each authority chain, with the sha256 of every line up to it.
CREATE TABLE authority_line (kind TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, envelope BLOB NOT NULL,
  PRIMARY KEY (kind, version)) STRICT, WITHOUT ROWID;

-- owner: trust/documents.ts
-- Last accepted small documents (channel, revocations) by target path.
CREATE TABLE document (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, bytes BLOB NOT NULL, accepted TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- owner: trust/kept-releases.ts
-- Releases whose code signatures were judged good, by statement digest, with what they were judged against.
CREATE TABLE release (release TEXT PRIMARY KEY, component TEXT NOT NULL, version TEXT NOT NULL, platform TEXT NOT NULL,
  statement BLOB NOT NULL, bundles BLOB NOT NULL, texts BLOB NOT NULL, judged TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- owner: trust/refusals.ts
-- Releases refused before installation (revoked, blocked, bad signature, …), newest code for each.
CREATE TABLE refusal (release TEXT PRIMARY KEY, component TEXT NOT NULL, version TEXT NOT NULL, code TEXT NOT NULL, at TEXT NOT NULL)
  STRICT, WITHOUT ROWID;

-- owner: generations/plans.ts
-- outcome: how carrying it out ended, as JSON; null before.
CREATE TABLE plan (digest TEXT PRIMARY KEY, body BLOB NOT NULL, state TEXT NOT NULL, reason TEXT, until TEXT, verdict TEXT,
  outcome TEXT, created TEXT NOT NULL, changed TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- owner: consent/accounts.ts
CREATE TABLE account (name TEXT PRIMARY KEY, printed_name TEXT NOT NULL, roles TEXT NOT NULL, keyid TEXT NOT NULL UNIQUE,
  public_key TEXT NOT NULL, wrapped_key TEXT NOT NULL, failures INTEGER NOT NULL DEFAULT 0, locked_until TEXT,
  created TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- owner: device/audit.ts
-- The audit trail: a hash chain of records of every kind. body: RFC 8785 bytes or a DSSE envelope.
CREATE TABLE audit (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, at TEXT NOT NULL, body BLOB NOT NULL, previous TEXT NOT NULL,
  digest TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE audit_person (commitment TEXT PRIMARY KEY, salt TEXT NOT NULL, account TEXT NOT NULL, printed_name TEXT NOT NULL)
  STRICT, WITHOUT ROWID;

-- owner: consent/approvals.ts
CREATE TABLE approval (plan TEXT PRIMARY KEY, sequence INTEGER NOT NULL REFERENCES audit (sequence), envelope BLOB NOT NULL,
  at TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE accepted_terms (component TEXT NOT NULL, version TEXT NOT NULL, sha256 TEXT NOT NULL, approval TEXT NOT NULL,
  PRIMARY KEY (component, version)) STRICT, WITHOUT ROWID;

-- owner: generations/capability-decisions.ts
-- The latest decision about a capability. state: granted | declined | revoked | suspended.
CREATE TABLE capability (component TEXT NOT NULL, capability TEXT NOT NULL, contract INTEGER NOT NULL, risk TEXT NOT NULL,
  scope TEXT NOT NULL, state TEXT NOT NULL, approval TEXT, since TEXT NOT NULL, PRIMARY KEY (component, capability)) STRICT, WITHOUT ROWID;

-- owner: generations/store.ts
-- Unpacked archives in store/. damaged: when its files were found to differ; it is then fetched and unpacked anew.
CREATE TABLE archive (sha256 TEXT PRIMARY KEY, directory TEXT NOT NULL UNIQUE, files BLOB NOT NULL, added TEXT NOT NULL,
  damaged TEXT) STRICT, WITHOUT ROWID;

-- owner: generations/generations.ts
-- state: staged | current | previous | rolled-back | collected. staged until committed, even while it is switched to.
CREATE TABLE generation (number INTEGER PRIMARY KEY, plan TEXT NOT NULL, state TEXT NOT NULL, created TEXT NOT NULL) STRICT;
CREATE TABLE generation_component (generation INTEGER NOT NULL REFERENCES generation (number), component TEXT NOT NULL,
  version TEXT NOT NULL, platform TEXT NOT NULL, release TEXT NOT NULL, statement BLOB NOT NULL,
  PRIMARY KEY (generation, component)) STRICT, WITHOUT ROWID;
-- capability '' is the base.
CREATE TABLE generation_archive (generation INTEGER NOT NULL, component TEXT NOT NULL, capability TEXT NOT NULL, sha256 TEXT NOT NULL,
  PRIMARY KEY (generation, component, capability)) STRICT, WITHOUT ROWID;
-- What was granted in that generation when it was committed, for rollback.
CREATE TABLE generation_grant (generation INTEGER NOT NULL, component TEXT NOT NULL, capability TEXT NOT NULL, contract INTEGER NOT NULL,
  risk TEXT NOT NULL, scope TEXT NOT NULL, PRIMARY KEY (generation, component, capability)) STRICT, WITHOUT ROWID;
CREATE TABLE current (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, previous INTEGER) STRICT;

-- owner: generations/install-history.ts
-- What was ever committed here, and which releases failed here.
CREATE TABLE highest_committed (component TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (release TEXT PRIMARY KEY, component TEXT NOT NULL, version TEXT NOT NULL, code TEXT NOT NULL, at TEXT NOT NULL)
  STRICT, WITHOUT ROWID;

-- owner: generations/journal.ts
-- One row while a change is under way; step and state are the journal's position, transitions bounds loops.
CREATE TABLE job (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, plan TEXT, generation INTEGER, phase TEXT NOT NULL, detail TEXT NOT NULL,
  transitions INTEGER NOT NULL DEFAULT 0, started TEXT NOT NULL, changed TEXT NOT NULL) STRICT;
CREATE TABLE journal (sequence INTEGER PRIMARY KEY, job INTEGER NOT NULL, step TEXT NOT NULL, mark TEXT NOT NULL, detail TEXT,
  at TEXT NOT NULL) STRICT;

-- owner: service/intents.ts
-- What a command asks of the running service: answered in the same row.
CREATE TABLE intent (id INTEGER PRIMARY KEY, command TEXT NOT NULL, payload TEXT NOT NULL, created TEXT NOT NULL, answered TEXT,
  answer TEXT) STRICT;

-- owner: device/alerts.ts
CREATE TABLE alert (id INTEGER PRIMARY KEY, code TEXT NOT NULL, component TEXT NOT NULL DEFAULT '', severity TEXT NOT NULL,
  message TEXT NOT NULL, raised TEXT NOT NULL, cleared TEXT) STRICT;
CREATE UNIQUE INDEX alert_open ON alert (code, component) WHERE cleared IS NULL;
`;

export const databaseFile = (directory: string): string => join(directory, 'device.db');

/** Makes the database of a new device. @throws DEVICE_EXISTS */
export function createDatabase(directory: string): DatabaseSync {
  if (existsSync(databaseFile(directory))) throw clientError('DEVICE_EXISTS', `${directory} already holds a device`);
  const database = connect(databaseFile(directory));
  database.exec(`BEGIN IMMEDIATE; ${tables} PRAGMA user_version = ${schemaVersion}; COMMIT;`);
  return database;
}

/**
 * Opens the device's database.
 * @throws DEVICE_MISSING (nothing here), RECOVERY_REQUIRED (lost, torn or not readable), DEVICE_TOO_NEW DEVICE_TOO_OLD
 */
export function openDatabase(directory: string): DatabaseSync {
  const file = databaseFile(directory);
  if (!existsSync(file)) {
    if (existsSync(join(directory, 'store')))
      throw clientError('RECOVERY_REQUIRED', `${file} is missing while ${join(directory, 'store')} has components`);
    throw clientError('DEVICE_MISSING', `${directory} holds no device`);
  }
  let database: DatabaseSync | undefined;
  try {
    database = connect(file);
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version > schemaVersion)
      throw clientError('DEVICE_TOO_NEW', `${file} has schema ${version}, this program knows ${schemaVersion}`);
    if (version < 1) throw clientError('RECOVERY_REQUIRED', `${file} holds no device`);
    if (version < schemaVersion)
      throw clientError('DEVICE_TOO_OLD', `${file} has schema ${version}, this program reads only ${schemaVersion}`);
    return database;
  } catch (cause) {
    database?.close();
    const failure = databaseFailure(file, cause);
    if (isCoded(failure)) throw failure;
    throw clientError('RECOVERY_REQUIRED', `${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function connect(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 5000, enableForeignKeyConstraints: true });
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;');
  return database;
}

/** Runs `work` in one transaction: all of it is kept, or nothing. @throws DISK_FULL RECOVERY_REQUIRED, and what `work` throws */
export function transact<T>(database: DatabaseSync, work: () => T): T {
  try {
    database.exec('BEGIN IMMEDIATE');
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw databaseFailure(database.location() ?? 'the database', error);
  }
}

/** Turns SQLite's errors for a full disk and for damage into ours; returns anything else unchanged. */
export function databaseFailure(file: string, cause: unknown): unknown {
  const { errcode } = cause as { errcode?: number };
  if (codeOf(cause) !== 'ERR_SQLITE_ERROR' || errcode === undefined) return cause;
  const primary = errcode & 0xff;
  if (primary === sqlite.full) return nodeError('DISK_FULL', `writing ${file}: the disk is full`, { cause });
  if (primary === sqlite.corrupt || primary === sqlite.notDatabase)
    return clientError('RECOVERY_REQUIRED', `${file} cannot be used: ${(cause as Error).message}`, { cause });
  return cause;
}

/** Primary result codes of SQLite. */
const sqlite = { corrupt: 11, full: 13, notDatabase: 26 } as const;
