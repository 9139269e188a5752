/**
 * The port to where a repository's files are kept. Names are `metadata/…` and `targets/…`. A file never changes after it was put;
 * only `metadata/timestamp.json` is ever replaced, and only by a caller that knows what it replaces. Everything is durable when a
 * call returns.
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
  /** Null if the file does not exist. @throws STORE_NAME */
  head(name: string): Promise<StoredFile | null>;
  /** A whole small file; null if it does not exist. @throws STORE_NAME, FILE_READ when it is larger */
  read(name: string, maximumBytes: number): Promise<{ bytes: Buffer; etag: string } | null>;
  /** A large file as a stream. @throws NOT_FOUND */
  open(name: string, range?: ByteRange): Promise<Readable>;
  /** False if the name is taken, also by other content. */
  putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean>;
  /** Moves in a local file whose digest was checked; false if the name is taken. The local file is gone afterwards. */
  adopt(name: string, file: string): Promise<boolean>;
  /** Replaces the content that has this ETag; if `etag` is null, puts the file, which must not exist. @throws STORE_CONFLICT */
  replaceIfMatch(name: string, bytes: Uint8Array, etag: string | null): Promise<string>;
  /** Every name that begins with the prefix. */
  list(prefix: string): AsyncIterable<string>;
}

/** Segments of plain characters, none hidden, none that leads up: the same names work in a folder and in a blob container. */
export const isStoreName = (name: string): boolean =>
  name.length <= 600 && /^(metadata|targets)(\/[A-Za-z0-9_%@+-][A-Za-z0-9._%@+-]{0,254})+$/.test(name);
