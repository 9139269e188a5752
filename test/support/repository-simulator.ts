/**
 * A TUF repository in memory that is itself a metadata source. Its documents are plain objects that a test may change; `publish`
 * raises versions, signs the documents and stores them. What was published stays, so that a test can also serve old files.
 */
import { sha256, metadataFileName, serialize, signedBytes } from '@countersign/protocol';
import { dumpWhenTestFails } from './repository-dump.ts';
import { makeKey, type TestKey } from './tuf-keys.ts';

type Json = Record<string, unknown>;
export interface RoleDocument {
  _type: string;
  spec_version: string;
  version: number;
  expires: string;
  [field: string]: unknown;
}
export interface MetaEntry {
  version: number;
  length?: number;
  hashes?: Record<string, string>;
}
export interface RoleKeys {
  keyids: string[];
  threshold: number;
  [field: string]: unknown;
}
export interface DelegationEntry extends RoleKeys {
  name: string;
  terminating: boolean;
  paths?: string[];
  path_hash_prefixes?: string[];
}
export interface RootDocument extends RoleDocument {
  consistent_snapshot: boolean;
  keys: Record<string, Json>;
  roles: Record<string, RoleKeys>;
}
export interface TargetsDocument extends RoleDocument {
  targets: Record<string, { length: number; hashes: Record<string, string>; custom?: unknown }>;
  delegations?: { keys: Record<string, Json>; roles?: DelegationEntry[]; succinct_roles?: RoleKeys };
}

export interface SimulatorOptions {
  readonly keys?: Partial<Record<'root' | 'timestamp' | 'snapshot' | 'targets', readonly TestKey[]>>;
  /** Also used as `x-countersign-issued`. */
  readonly now?: Date;
  /** Whether timestamp and snapshot give lengths and sha256 (default) or versions only. */
  readonly meta?: 'full' | 'version';
  /** `countersign`: timestamp says when it was issued, so that the stricter profile holds. */
  readonly profile?: 'general' | 'countersign';
}

export const day = 24 * 3600 * 1000;
export const time = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;

export class RepositorySimulator {
  now: Date;
  meta: 'full' | 'version';
  readonly profile: 'general' | 'countersign';
  /** Who signs each role at the next publication. */
  readonly signers = new Map<string, TestKey[]>();
  root: RootDocument;
  timestamp: RoleDocument & { meta: Record<string, MetaEntry> };
  snapshot: RoleDocument & { meta: Record<string, MetaEntry> };
  readonly roles = new Map<string, TargetsDocument>();
  /** Every published file by name, newest content. */
  readonly files = new Map<string, Buffer>();
  /** Target files by `<directory>/<sha256>.<name>`. */
  readonly artifacts = new Map<string, Buffer>();
  /** Names asked for, in order. */
  readonly requests: string[] = [];

  constructor(options: SimulatorOptions = {}) {
    this.now = options.now ?? new Date('2026-06-01T00:00:00Z');
    this.meta = options.meta ?? 'full';
    this.profile = options.profile ?? 'countersign';
    this.root = { ...this.document('root', 365), consistent_snapshot: true, keys: {}, roles: {} };
    for (const role of ['root', 'timestamp', 'snapshot', 'targets'] as const) {
      this.root.roles[role] = { keyids: [], threshold: 1 };
      for (const key of options.keys?.[role] ?? [makeKey()]) this.addKey(role, key);
    }
    this.timestamp = { ...this.document('timestamp', 1), meta: {} };
    this.snapshot = { ...this.document('snapshot', 7), meta: {} };
    this.roles.set('targets', { ...this.document('targets', 365), targets: {} });
    this.publish();
    dumpWhenTestFails(() => [
      ...[...this.files].map(([name, bytes]) => [`metadata/${name}`, bytes] as const),
      ...[...this.artifacts].map(([name, bytes]) => [`targets/${name}`, bytes] as const),
    ]);
  }

  private document(type: string, days: number): RoleDocument {
    return {
      _type: type,
      spec_version: '1.0.34',
      version: 0,
      expires: time(new Date(this.now.getTime() + days * day)),
    };
  }

  targets(role = 'targets'): TargetsDocument {
    return this.roles.get(role)!;
  }

  /** Gives a top-level role a key that also signs. */
  addKey(role: string, key: TestKey): void {
    this.root.keys[key.keyid] = key.public;
    this.root.roles[role]!.keyids.push(key.keyid);
    this.signers.set(role, [...(this.signers.get(role) ?? []), key]);
  }

  /** Replaces all keys of a top-level role; root keeps its old signers for the step. */
  rotateKeys(role: string, ...keys: TestKey[]): void {
    const before = this.signers.get(role)!;
    this.root.roles[role]!.keyids = [];
    this.signers.set(role, role === 'root' ? before : []);
    for (const key of keys.length > 0 ? keys : [makeKey()]) this.addKey(role, key);
  }

  /** Delegates from one targets role to another, which is made when it is new. */
  delegate(
    delegator: string,
    name: string,
    paths: readonly string[],
    options: { keys?: readonly TestKey[]; threshold?: number; terminating?: boolean; prefixes?: string[] } = {},
  ): TargetsDocument {
    const from = this.targets(delegator);
    const keys = options.keys ?? [makeKey()];
    from.delegations ??= { keys: {}, roles: [] };
    for (const key of keys) from.delegations.keys[key.keyid] = key.public;
    from.delegations.roles!.push({
      name,
      keyids: keys.map((key) => key.keyid),
      threshold: options.threshold ?? 1,
      terminating: options.terminating ?? true,
      ...(options.prefixes ? { path_hash_prefixes: options.prefixes } : { paths: [...paths] }),
    });
    this.signers.set(name, [...new Set([...(this.signers.get(name) ?? []), ...keys])]);
    if (!this.roles.has(name)) this.roles.set(name, { ...this.document('targets', 90), targets: {} });
    return this.targets(name);
  }

  /** Lists and serves a target file. */
  addTarget(role: string, path: string, content: Uint8Array | string, custom?: unknown): string {
    const bytes = Buffer.from(content);
    const digest = sha256(bytes);
    const entry = { length: bytes.length, hashes: { sha256: digest } };
    this.targets(role).targets[path] = custom === undefined ? entry : { ...entry, custom };
    const slash = path.lastIndexOf('/') + 1;
    this.artifacts.set(`${path.slice(0, slash)}${digest}.${path.slice(slash)}`, bytes);
    return digest;
  }

  /** Raises, signs and stores the named targets roles (all by default, root when named), then snapshot and timestamp. */
  publish(...names: string[]): void {
    const chosen = names.length > 0 ? names : ['root', ...this.roles.keys()];
    if (chosen.includes('root')) this.publishRoot();
    for (const role of chosen) {
      if (role === 'root' || role === 'snapshot' || role === 'timestamp') continue;
      const document = this.targets(role);
      document.version++;
      this.snapshot.meta[`${role}.json`] = this.entry(document.version, this.file(role, document));
    }
    if (chosen.some((name) => name !== 'root' && name !== 'timestamp')) this.publishSnapshot();
    if (chosen.some((name) => name !== 'root')) this.publishTimestamp();
  }

  publishRoot(): void {
    this.root.version++;
    this.file('root', this.root);
  }

  publishSnapshot(): void {
    this.snapshot.version++;
    this.timestamp.meta = { 'snapshot.json': this.entry(this.snapshot.version, this.file('snapshot', this.snapshot)) };
  }

  publishTimestamp(): void {
    this.timestamp.version++;
    if (this.profile === 'countersign') this.timestamp['x-countersign-issued'] = time(this.now);
    this.file('timestamp', this.timestamp);
  }

  private entry(version: number, bytes: Buffer): MetaEntry {
    return this.meta === 'full' ? { version, length: bytes.length, hashes: { sha256: sha256(bytes) } } : { version };
  }

  /** Signs a document by the role's current signers, without storing it. */
  sign(role: string, document: object, signers: readonly TestKey[] = this.signers.get(role)!): Buffer {
    const bytes = signedBytes(document);
    return serialize(
      document,
      [...new Set(signers)].map((key) => ({ keyid: key.keyid, sig: key.sign(bytes) })),
    );
  }

  /** Signs a document and serves it under its own version. */
  file(role: string, document: RoleDocument): Buffer {
    const bytes = this.sign(role, document);
    const versioned = this.root.consistent_snapshot && role !== 'timestamp';
    this.files.set(metadataFileName(role, versioned || role === 'root' ? document.version : undefined), bytes);
    return bytes;
  }

  /** The current file of a role. */
  bytes(role: string): Buffer {
    const version =
      role === 'root' ? this.root.version : role === 'snapshot' ? this.snapshot.version : this.roles.get(role)?.version;
    return this.files.get(metadataFileName(role, role === 'timestamp' ? undefined : version))!;
  }

  rootBytes(version: number): Buffer {
    return this.files.get(`${version}.root.json`)!;
  }

  /** The metadata source's one method. ETags are digests. */
  fetch(
    name: string,
    maximumBytes: number,
    options: { etag?: string } = {},
  ): Promise<{ kind: 'found'; bytes: Buffer; etag: string } | { kind: 'absent' } | { kind: 'unchanged' }> {
    this.requests.push(name);
    const bytes = this.files.get(name);
    if (bytes === undefined) return Promise.resolve({ kind: 'absent' });
    const etag = `"${sha256(bytes)}"`;
    if (options.etag === etag) return Promise.resolve({ kind: 'unchanged' });
    if (bytes.length > maximumBytes)
      return Promise.reject(Object.assign(new Error('too large'), { code: 'SOURCE_TOO_LARGE' }));
    return Promise.resolve({ kind: 'found', bytes, etag });
  }
}
