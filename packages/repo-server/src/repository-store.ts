/**
 * Where a repository's files are kept. Names are `metadata/…` and `targets/…`. A name that was put stays as it is; only
 * `metadata/timestamp.json` is ever replaced, and only by whoever knows what it replaces. Everything is durable when it returns.
 */
import type { Readable } from 'node:stream';

export interface StoredFile {
  readonly length: number;
  /** Opaque; changes with the content. */
  readonly etag: string;
}

export interface ByteRange {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

export interface RepositoryStore {
  /** Null where there is no such file. @throws STORE_NAME */
  head(name: string): Promise<StoredFile | null>;
  /** A small file whole; null where there is none. @throws STORE_NAME, FILE_READ when it is larger */
  read(name: string, maximumBytes: number): Promise<{ bytes: Buffer; etag: string } | null>;
  /** A large file as a stream. @throws NOT_FOUND */
  open(name: string, range?: ByteRange): Promise<Readable>;
  /** False where the name is taken, whatever by. */
  putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean>;
  /** Takes a local file over, whose digest was checked; false where the name is taken. The file is gone afterwards. */
  adopt(name: string, file: string): Promise<boolean>;
  /** Replaces the content with this ETag, or puts it where `etag` is null and nothing is there. @throws STORE_CONFLICT */
  replaceIfMatch(name: string, bytes: Uint8Array, etag: string | null): Promise<string>;
  /** Every name that begins so. */
  list(prefix: string): AsyncIterable<string>;
}

/** Segments of plain characters, not hidden, no way up: the same names work in a folder and in a blob container. */
export const isStoreName = (name: string): boolean =>
  name.length <= 600 && /^(metadata|targets)(\/[A-Za-z0-9_%@+-][A-Za-z0-9._%@+-]{0,254})+$/.test(name);
