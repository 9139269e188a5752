/**
 * Keeps the repository in a local folder, for one process (see `instance-lock.ts`). A file appears under its name only whole and
 * synced: it is written under another name and renamed. Must never follow a name out of its folder.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { codeOf } from '@countersign/protocol';
import { makeFolder, readIfPresent, syncFolder, writeDurable, writeFailure } from '@countersign/protocol/node';
import { serverError } from '../errors.ts';
import { isStoreName, type ByteRange, type RepositoryStore, type StoredFile } from '../repository-store.ts';

const etagOf = (bytes: Uint8Array): string => `"${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}"`;

export class DirectoryStore implements RepositoryStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    makeFolder(join(directory, 'metadata'));
    makeFolder(join(directory, 'targets'));
  }

  head(name: string): Promise<StoredFile | null> {
    try {
      const stat = statSync(this.#path(name));
      if (!stat.isFile()) return Promise.resolve(null);
      return Promise.resolve({
        length: stat.size,
        etag: `"${stat.size.toString(16)}-${Math.trunc(stat.mtimeMs).toString(16)}"`,
      });
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return Promise.resolve(null);
      return Promise.reject(error as Error);
    }
  }

  read(name: string, maximumBytes: number): Promise<{ bytes: Buffer; etag: string } | null> {
    try {
      const bytes = readIfPresent(this.#path(name), maximumBytes);
      if (bytes === undefined) return Promise.resolve(null);
      // Only a caller that replaces a file asks for its tag, so nothing is hashed for the others.
      return Promise.resolve({
        bytes,
        get etag() {
          return etagOf(bytes);
        },
      });
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async open(name: string, range?: ByteRange): Promise<Readable> {
    if ((await this.head(name)) === null) throw serverError('NOT_FOUND', `there is no ${name}`);
    return createReadStream(this.#path(name), { highWaterMark: 1 << 20, ...range });
  }

  putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean> {
    const path = this.#path(name);
    if (existsSync(path)) return Promise.resolve(false);
    makeFolder(dirname(path));
    writeDurable(path, bytes);
    return Promise.resolve(true);
  }

  adopt(name: string, file: string): Promise<boolean> {
    const path = this.#path(name);
    if (existsSync(path)) {
      rmSync(file, { force: true });
      return Promise.resolve(false);
    }
    makeFolder(dirname(path));
    try {
      renameSync(file, path);
    } catch (cause) {
      throw writeFailure(path, 'taking over', cause);
    }
    syncFolder(dirname(path));
    syncFolder(dirname(file));
    return Promise.resolve(true);
  }

  async replaceIfMatch(name: string, bytes: Uint8Array, etag: string | null): Promise<string> {
    const current = await this.read(name, 1 << 24);
    if ((current?.etag ?? null) !== etag) throw serverError('STORE_CONFLICT', `${name} was changed meanwhile`);
    writeDurable(this.#path(name), bytes);
    return etagOf(bytes);
  }

  async *list(prefix: string): AsyncIterable<string> {
    const top = prefix.split('/', 1)[0]!;
    if (!isStoreName(`${top}/x`)) throw serverError('STORE_NAME', `${prefix} names no part of the repository`);
    const entries = await readdir(join(this.#directory, top), { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      if (!entry.isFile()) continue;
      const name = join(entry.parentPath, entry.name)
        .slice(this.#directory.length + 1)
        .replaceAll('\\', '/');
      // Skips `.tmp` files, which a dead process left half-written.
      if (name.startsWith(prefix) && isStoreName(name) && !name.endsWith('.tmp')) yield name;
    }
  }

  #path(name: string): string {
    if (!isStoreName(name)) throw serverError('STORE_NAME', 'the name is not one of the repository');
    return join(this.#directory, ...name.split('/'));
  }
}
