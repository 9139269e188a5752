/**
 * The live repository: what is published now, and the only module that changes it. One change at a time. The order of writing
 * makes it safe to die at any point: artifacts, roles, snapshot, roots, and the timestamp last by compare-and-swap. Until then
 * devices see the old repository. A version number that an interrupted change used is skipped.
 */
import { Buffer } from 'node:buffer';
import {
  consistentTargetName,
  metadataFileName,
  openMetadata,
  readRoot,
  readSnapshot,
  readTargets,
  readTimestamp,
  type MetaFile,
  type Root,
  type Snapshot,
  type Timestamp,
} from '@countersign/protocol';
import type { MetadataSource } from '@countersign/protocol/node';
import { serverError } from './errors.ts';
import type { OnlineKeys } from './online-keys.ts';
import { describeFile, isDue, writeSnapshot, writeTimestamp } from './online-roles.ts';
import type { PublishedMetadata } from './published-metadata.ts';
import type { RepositoryStore } from './repository-store.ts';

export interface Current {
  readonly root: Root;
  readonly timestamp: Timestamp;
  readonly snapshot: Snapshot;
  /** Of timestamp.json in the store. */
  readonly etag: string;
}

/** The next state, made and signed but not written. */
export interface Prepared {
  readonly files: ReadonlyMap<string, Buffer>;
  /** The sha256 of files, where it was already computed, by name. */
  readonly digests: ReadonlyMap<string, string>;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly etag: string | null;
}

const maximum = 5_000_000;
const signedOf = (bytes: Uint8Array, what: string): unknown => openMetadata(bytes, what).signed();

export class Repository {
  readonly store: RepositoryStore;
  readonly metadata: PublishedMetadata;
  readonly #keys: OnlineKeys;
  readonly #clock: () => Date;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(store: RepositoryStore, metadata: PublishedMetadata, keys: OnlineKeys, clock: () => Date) {
    this.store = store;
    this.metadata = metadata;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** What is published; null before the first publication. */
  async current(): Promise<Current | null> {
    const stamped = await this.store.read('metadata/timestamp.json', maximum);
    if (!stamped) return null;
    const timestamp = readTimestamp(signedOf(stamped.bytes, 'timestamp'));
    const version = timestamp.meta['snapshot.json'].version;
    const snapshot = readSnapshot(signedOf(await this.#read(metadataFileName('snapshot', version)), 'snapshot'));
    return { root: await this.#newestRoot(), timestamp, snapshot, etag: stamped.etag };
  }

  /** The published metadata as it looks with `files` added or replaced. */
  overlay(files: ReadonlyMap<string, Buffer>): MetadataSource {
    return {
      fetch: async (name) => {
        const bytes = files.get(name) ?? (await this.store.read(`metadata/${name}`, maximum))?.bytes;
        return bytes ? { kind: 'found', bytes } : { kind: 'absent' };
      },
    };
  }

  /** Whether the file is stored with exactly this content, published or not. */
  async holds(name: string, bytes: Buffer): Promise<boolean> {
    return (await this.store.read(`metadata/${name}`, maximum))?.bytes.equals(bytes) ?? false;
  }

  /** Runs changes one after another. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#queue.then(work, work);
    this.#queue = next.catch(() => undefined);
    return next;
  }

  /** Makes snapshot and timestamp over the offline files given. @throws SERVER_ONLINE_KEY */
  async prepare(offline: ReadonlyMap<string, Buffer>, current: Current | null): Promise<Prepared> {
    const now = this.#clock();
    const root = newestGivenRoot(offline) ?? current?.root;
    if (!root) throw serverError('PUBLICATION_REFUSED', 'the first publication holds no root');
    const meta: Record<string, MetaFile> = { ...current?.snapshot.meta };
    const digests = new Map<string, string>();
    const describe = (name: string, bytes: Buffer): MetaFile => {
      const described = describeFile(parseInt(name, 10), bytes);
      digests.set(name, described.hashes.sha256);
      return described;
    };
    for (const [name, bytes] of offline) {
      const role = roleOfFile(name);
      if (role !== 'root') meta[`${role}.json`] = describe(name, bytes);
    }
    const delegated = await this.#delegated(meta, offline);
    for (const name of offline.keys()) {
      const role = roleOfFile(name);
      if (role !== 'root' && role !== 'targets' && !delegated.has(role))
        throw serverError('PUBLICATION_REFUSED', `nobody delegates to role ${role}`);
    }
    const snapshotVersion = await this.#free('snapshot', (current?.snapshot.version ?? 0) + 1);
    const snapshot = writeSnapshot(snapshotVersion, meta, now, this.#keys, root);
    const snapshotName = metadataFileName('snapshot', snapshotVersion);
    const timestampVersion = (current?.timestamp.version ?? 0) + 1;
    const timestamp = writeTimestamp(timestampVersion, describe(snapshotName, snapshot), now, this.#keys, root);
    const files = new Map([...offline, [snapshotName, snapshot], ['timestamp.json', timestamp]]);
    return { files, digests, timestamp: timestampVersion, snapshot: snapshotVersion, etag: current?.etag ?? null };
  }

  /** Writes what was prepared: devices see none of it before the last step. @throws STORE_CONFLICT PUBLICATION_VERSION_TAKEN */
  async write({ files, digests, etag }: Prepared): Promise<void> {
    const order = (name: string): number => (name.endsWith('.snapshot.json') ? 1 : name.endsWith('.root.json') ? 2 : 0);
    const versioned = [...files].filter(([name]) => name !== 'timestamp.json').sort(([a], [b]) => order(a) - order(b));
    for (const [name, bytes] of versioned) {
      if (!(await this.store.putIfAbsent(`metadata/${name}`, bytes)) && !(await this.#read(name)).equals(bytes))
        throw serverError('PUBLICATION_VERSION_TAKEN', `${name} was taken by a publication that broke off`, {
          context: { name },
        });
      this.metadata.put(name, bytes, digests.get(name));
    }
    const timestamp = files.get('timestamp.json')!;
    await this.store.replaceIfMatch('metadata/timestamp.json', timestamp, etag);
    this.metadata.put('timestamp.json', timestamp);
  }

  /** Renews snapshot and timestamp when half their life is over; true when it did. @throws SERVER_ONLINE_KEY STORE_* */
  renew(): Promise<boolean> {
    return this.exclusively(async () => {
      const current = await this.current();
      const now = this.#clock();
      if (!current || (!isDue('snapshot', current.snapshot, now) && !isDue('timestamp', current.timestamp, now)))
        return false;
      await this.write(
        isDue('snapshot', current.snapshot, now)
          ? await this.prepare(new Map(), current)
          : await this.#renewTimestamp(current, now),
      );
      return true;
    });
  }

  async #renewTimestamp({ root, timestamp, snapshot, etag }: Current, now: Date): Promise<Prepared> {
    const version = timestamp.version + 1;
    // The snapshot stays, so it is described as in the timestamp before.
    const described = timestamp.meta['snapshot.json'];
    const files = new Map([['timestamp.json', writeTimestamp(version, described, now, this.#keys, root)]]);
    return { files, digests: new Map(), timestamp: version, snapshot: snapshot.version, etag };
  }

  /** A published target's bytes by path and digest. */
  async readTarget(path: string, digest: string, maximumBytes: number): Promise<Buffer | null> {
    return (await this.store.read(`targets/${consistentTargetName(path, digest)}`, maximumBytes))?.bytes ?? null;
  }

  async #newestRoot(): Promise<Root> {
    for (let version = 1, newest: Root | undefined; ; version++) {
      const file = await this.store.read(`metadata/${metadataFileName('root', version)}`, maximum);
      if (!file) {
        if (!newest) throw serverError('SERVER_ROOT', 'the repository has no root');
        return newest;
      }
      newest = readRoot(signedOf(file.bytes, `root ${version}`));
    }
  }

  async #delegated(
    meta: Readonly<Record<string, MetaFile>>,
    offline: ReadonlyMap<string, Buffer>,
  ): Promise<Set<string>> {
    const listed = meta['targets.json'];
    if (!listed) throw serverError('PUBLICATION_REFUSED', 'the first publication holds no targets');
    const name = metadataFileName('targets', listed.version);
    const targets = readTargets(signedOf(offline.get(name) ?? (await this.#read(name)), 'targets'));
    return new Set(targets.delegations?.roles?.map((role) => role.name) ?? []);
  }

  async #free(role: string, version: number): Promise<number> {
    let free = version;
    while ((await this.store.head(`metadata/${metadataFileName(role, free)}`)) !== null) free++;
    return free;
  }

  async #read(name: string): Promise<Buffer> {
    const file = await this.store.read(`metadata/${name}`, maximum);
    if (!file) throw serverError('NOT_FOUND', `metadata/${name} is missing`);
    return file.bytes;
  }
}

/** `component-x` of `5.component-x.json`. */
export const roleOfFile = (name: string): string => name.replace(/^\d+\./, '').replace(/\.json$/, '');

function newestGivenRoot(offline: ReadonlyMap<string, Buffer>): Root | undefined {
  const versions = [...offline.keys()].map((name) => Number(/^(\d+)\.root\.json$/.exec(name)?.[1] ?? 0));
  const newest = Math.max(0, ...versions);
  return newest === 0 ? undefined : readRoot(signedOf(offline.get(metadataFileName('root', newest))!, 'root'));
}
