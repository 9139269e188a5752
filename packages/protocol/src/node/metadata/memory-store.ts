/** A metadata store in memory, for judging a repository as a device would that starts from given files. */
import type { MetadataStore, TrustRecord } from './metadata-store.ts';

export function memoryStore(): MetadataStore {
  const roles = new Map<string, Uint8Array>();
  const roots = new Map<number, Uint8Array>();
  let record: TrustRecord | undefined;
  return {
    read: (role) => roles.get(role),
    write: (role, bytes) => void roles.set(role, bytes),
    remove: (role) => void roles.delete(role),
    readRoot: (version) => roots.get(version),
    writeRoot: (version, bytes) => void roots.set(version, bytes),
    readRecord: () => record,
    writeRecord: (next) => void (record = next),
  };
}
