/** A metadata store in memory whose files a test can damage, lose or restore. */
import type { MetadataStore, TrustRecord } from '../../packages/protocol/src/node/metadata/metadata-store.ts';

export interface MemoryStore extends MetadataStore {
  readonly roles: Map<string, Uint8Array>;
  readonly roots: Map<number, Uint8Array>;
  record: TrustRecord | undefined;
  /** What was written, in order. */
  readonly writes: string[];
}

export function memoryStore(): MemoryStore {
  const store: MemoryStore = {
    roles: new Map(),
    roots: new Map(),
    record: undefined,
    writes: [],
    read: (role) => store.roles.get(role),
    write: (role, bytes) => {
      store.writes.push(role);
      store.roles.set(role, bytes);
    },
    remove: (role) => {
      if (store.roles.delete(role)) store.writes.push(`-${role}`);
    },
    readRoot: (version) => store.roots.get(version),
    writeRoot: (version, bytes) => {
      store.writes.push(`root ${version}`);
      store.roots.set(version, bytes);
    },
    readRecord: () => store.record,
    writeRecord: (record) => {
      store.writes.push('record');
      store.record = record;
    },
  };
  return store;
}
