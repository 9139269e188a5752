/**
 * The settings of a device: single facts, each a JSON value under its key. This module owns the table. It declares the shape of
 * every key, whichever module writes it, so that each key has one meaning.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Approval, Omission } from '@countersign/protocol';

/** The state of the audit trail after a record. */
export interface ChainHead {
  readonly sequence: number;
  readonly digest: string;
}

/** The laboratory's own denials. `*` stands for every component or capability. */
export interface SitePolicy {
  readonly denied: readonly { readonly component: string; readonly capability: string; readonly reason?: string }[];
}

/** What a person asked for apart from updates; a plan for it holds nothing else. */
export interface PlanRequests {
  readonly requests?: readonly { readonly component: string; readonly capability: string }[];
  readonly removals?: readonly string[];
}

export interface LastPoll {
  readonly at: string;
  /** `ok`, or the code of what went wrong. */
  readonly outcome: string;
}

/** Milliseconds that a small request may be silent, and that it may take in total. */
export interface RequestLimits {
  readonly idleMilliseconds?: number;
  readonly totalMilliseconds?: number;
}

export interface Settings {
  // Given or made at init.
  /** The device's id: sha256 of its public key. */
  readonly device: string;
  /** PKCS#8 PEM. Secret. */
  readonly deviceKey: string;
  readonly model: string;
  readonly serial: string;
  readonly region: string;
  readonly channel: string;
  readonly platform: string;
  /** URLs, first choice first. */
  readonly servers: readonly string[];
  /** Hosts that it may talk to; the vendor's policy may only narrow them. */
  readonly hosts: readonly string[];
  /** Hex, 32 bytes; never sent. */
  readonly rolloutSeed: string;
  /** sha256 of the files in `package/`. */
  readonly shipped: Readonly<Record<'root' | 'codesign' | 'devices', string>>;

  // Set by an administrator.
  readonly sitePolicy: SitePolicy;
  readonly httpLimits: RequestLimits;
  /** PEM, in addition to the system's own. */
  readonly certificateAuthorities: readonly string[];
  /** Bytes per second. */
  readonly downloadRate: number;

  // What the device remembers.
  /** The highest signed time seen, RFC 3339. */
  readonly timeFloor: string;
  readonly auditHead: ChainHead;
  readonly lastPoll: LastPoll;
  /** What the last planning left out. */
  readonly omitted: readonly Omission[];
  /** The request that the open plan answers; null: it is an update. */
  readonly planRequests: { readonly plan: string | null; readonly asked: PlanRequests } | null;
  /** The record that one person signed and that still needs another. */
  readonly pendingApproval: { readonly plan: string; readonly record: Approval } | null;
}

export function readSetting<K extends keyof Settings>(database: DatabaseSync, key: K): Settings[K] | undefined {
  const row = database.prepare('SELECT value FROM settings WHERE key = ?').get(key) as { value: string } | undefined;
  return row === undefined ? undefined : (JSON.parse(row.value) as Settings[K]);
}

export function writeSetting<K extends keyof Settings>(database: DatabaseSync, key: K, value: Settings[K]): void {
  database
    .prepare('INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value')
    .run(key, JSON.stringify(value));
}

/** Several at once, inside the caller's transaction. */
export function writeSettings(database: DatabaseSync, settings: Partial<Settings>): void {
  for (const [key, value] of Object.entries(settings)) writeSetting(database, key as keyof Settings, value);
}

export function dropSetting(database: DatabaseSync, key: keyof Settings): void {
  database.prepare('DELETE FROM settings WHERE key = ?').run(key);
}
