/**
 * Where a client keeps what it trusts between runs, as a port, and the folder that conformance and `verify` use. What is read
 * back is not trusted because it was kept: signatures are checked again, and a damaged or lost file is fetched again. Only the
 * record is trusted, so it must stand where nobody but the client writes.
 */
import { join } from 'node:path';
import { sha256 } from '../../text.ts';
import type { Floors } from '../../tuf/trusted-state.ts';
import { makeFolder, readIfPresent, removeDurable, writeDurable } from '../files/durable-file.ts';

/** What outlives files: the versions below which nothing is accepted, and every root ever accepted. */
export interface TrustRecord {
  readonly floors: Floors;
  /** sha256 of each accepted root by its version. */
  readonly roots: ReadonlyMap<number, string>;
  /** The ETag of the timestamp with this sha256. */
  readonly etag?: { readonly value: string; readonly timestamp: string } | undefined;
}

type Awaitable<T> = T | Promise<T>;

/** Each write is durable when it returns and replaces the whole. `role` is `timestamp`, `snapshot` or a targets role. */
export interface MetadataStore {
  /** Undefined where the file does not exist. */
  read(role: string): Awaitable<Uint8Array | undefined>;
  write(role: string, bytes: Uint8Array): Awaitable<void>;
  remove(role: string): Awaitable<void>;
  readRoot(version: number): Awaitable<Uint8Array | undefined>;
  /** Keeps every version, and the newest as the current one. */
  writeRoot(version: number, bytes: Uint8Array): Awaitable<void>;
  readRecord(): Awaitable<TrustRecord | undefined>;
  writeRecord(record: TrustRecord): Awaitable<void>;
}

const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/;

/**
 * A file name for any text: itself where that is safe on every file system, else percent-encoded, also upper case, so that two
 * names never share a file where case is ignored; beyond 200 characters a digest.
 */
export function safeFileName(name: string): string {
  const encoded = [...Buffer.from(name, 'utf8')]
    .map((byte, at) => {
      const character = String.fromCharCode(byte);
      const safe = /[a-z0-9_-]/.test(character) || (character === '.' && at > 0);
      return safe && !(at === 0 && reserved.test(name)) ? character : `%${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
  return encoded.length > 200 ? `%%${sha256(name)}` : encoded.replace(/\.$/, '%2e');
}

export const roleFileName = (role: string): string => `${safeFileName(role)}.json`;

/** Trusted metadata in a folder: `root.json`, `timestamp.json`, `<role>.json`; older roots and the record stand in `history/`. */
export function directoryStore(directory: string): MetadataStore {
  const history = join(directory, 'history');
  const file = (role: string): string => join(directory, roleFileName(role));
  const rootFile = (version: number): string => join(history, `${version}.root.json`);
  const recordFile = join(history, 'record');
  makeFolder(history);
  return {
    read: (role) => readIfPresent(file(role)),
    write: (role, bytes) => writeDurable(file(role), bytes),
    remove: (role) => removeDurable(file(role)),
    readRoot: (version) => readIfPresent(rootFile(version)),
    writeRoot: (version, bytes) => {
      writeDurable(rootFile(version), bytes);
      writeDurable(file('root'), bytes);
    },
    readRecord: () => parseRecord(readIfPresent(recordFile)),
    writeRecord: (record) => writeDurable(recordFile, serializeRecord(record)),
  };
}

function serializeRecord({ floors, roots, etag }: TrustRecord): string {
  return JSON.stringify({ floors: [...floors], roots: [...roots], etag });
}

/** A record that cannot be read counts as absent: files are then judged by their signatures alone. */
function parseRecord(bytes: Buffer | undefined): TrustRecord | undefined {
  if (bytes === undefined) return undefined;
  try {
    const { floors, roots, etag } = JSON.parse(bytes.toString('utf8')) as {
      floors: [string, number][];
      roots: [number, string][];
      etag?: TrustRecord['etag'];
    };
    return { floors: new Map(floors), roots: new Map(roots), etag };
  } catch {
    return undefined;
  }
}
