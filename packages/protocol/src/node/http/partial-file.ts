/**
 * A file while it arrives: `<file>.part` holds bytes from its start and is not trusted; under its own name the file is complete,
 * checked and durable. Bytes are hashed here and meanwhile written by the system's threads, one buffer after the other, so that
 * the part is always a start of the file. It is synced to the disk while the rest still arrives.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  write,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../error.ts';
import { knownAlgorithms } from '../../tuf/hashes.ts';
import { tufError } from '../../tuf/tuf-errors.ts';
import { removeDurable, syncFolder, writeFailure } from '../files/durable-file.ts';

/** What signed metadata says of a file. Every listed hash is checked; at least one must be listed. */
export interface ExpectedFile {
  readonly length: number;
  readonly sha256?: string;
  readonly hashes?: Readonly<Record<string, string>>;
}

export const chunkSize = 1 << 20;
/** A sync starts after this many bytes, so that the last fsync has little left to wait for. */
const syncSize = 32 << 20;

export class PartialFile {
  readonly #file: string;
  readonly #name: string;
  readonly #expected: ExpectedFile;
  readonly #descriptor: number;
  /** One is filled while the other is written. */
  #buffer = Buffer.allocUnsafe(chunkSize);
  #spare = Buffer.allocUnsafe(chunkSize);
  #filled = 0;
  #hashes: Map<string, Hash>;
  /** The running write and sync; the descriptor must stay open until they end. */
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> | null = null;
  /** The system may report a failed sync only once, and may then show bytes that the disk does not have. */
  #syncFailure: Error | null = null;
  #unsynced = 0;
  /** Bytes that arrived, written or still in a buffer. */
  done = 0;
  #state: 'open' | 'dropped' | 'closed' = 'open';

  constructor(file: string, expected: ExpectedFile) {
    this.#file = file;
    this.#name = `${file}.part`;
    this.#expected = expected;
    this.#hashes = newHashes(expected);
    try {
      this.#descriptor = openSync(this.#name, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (cause) {
      throw writeFailure(this.#name, 'writing', cause);
    }
  }

  /** Hashes what an earlier transfer left; drops it if it cannot be the start of the file. */
  async readBack(): Promise<number> {
    const { size } = fstatSync(this.#descriptor);
    const { length } = this.#expected;
    if (size > length) this.restart();
    while (this.done < Math.min(size, length)) {
      const count = readSync(this.#descriptor, this.#buffer, 0, chunkSize, this.done);
      if (count === 0) break;
      for (const hash of this.#hashes.values()) hash.update(this.#buffer.subarray(0, count));
      this.done += count;
      await sleep(0);
    }
    if (this.done === length && !this.#isGood()) this.restart();
    return this.done;
  }

  /** Only while nothing is being written. */
  restart(): void {
    ftruncateSync(this.#descriptor, 0);
    this.#hashes = newHashes(this.#expected);
    this.done = this.#filled = 0;
  }

  /** Waits where the disk is slower than the network. True when a buffer was handed to be written. @throws DISK_FULL FILE_WRITE */
  async take(chunk: Buffer): Promise<boolean> {
    let flushed = false;
    for (let at = 0; at < chunk.length;) {
      const count = chunk.copy(this.#buffer, this.#filled, at);
      this.#filled += count;
      this.done += count;
      at += count;
      if (this.#filled < chunkSize) continue;
      await this.#flush();
      flushed = true;
    }
    return flushed;
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return;
    const bytes = this.#buffer.subarray(0, this.#filled);
    for (const hash of this.#hashes.values()) hash.update(bytes);
    await this.#writing;
    this.#writing = this.#write(bytes, this.done - bytes.length);
    // The next caller that waits for it gets the error.
    this.#writing.catch(() => undefined);
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
    this.#unsynced += this.#filled;
    this.#filled = 0;
    if (this.#unsynced >= syncSize && this.#syncing === null) this.#beginSync();
  }

  async #write(bytes: Buffer, position: number): Promise<void> {
    for (let at = 0; at < bytes.length;)
      at += await new Promise<number>((done, failed) =>
        write(this.#descriptor, bytes, at, bytes.length - at, position + at, (error, count) =>
          error ? failed(writeFailure(this.#name, 'writing', error)) : done(count),
        ),
      );
  }

  #beginSync(): void {
    this.#unsynced = 0;
    this.#syncing = new Promise((done) =>
      fdatasync(this.#descriptor, (error) => {
        this.#syncing = null;
        this.#syncFailure ??= error;
        done();
      }),
    );
  }

  #isGood(): boolean {
    const expected = expectedHashes(this.#expected);
    return [...this.#hashes].every(([algorithm, hash]) => hash.copy().digest('hex') === expected[algorithm]);
  }

  /**
   * All bytes arrived. `what` names the file in the refusal.
   * @throws TUF_HASH when they are not the expected ones; DISK_FULL FILE_WRITE
   */
  async complete(what: string): Promise<void> {
    await this.#flush();
    await this.#writing;
    await this.#syncing;
    if (!this.#isGood()) throw tufError('TUF_HASH', `${what} is not the file that signed metadata names`);
    try {
      fsyncSync(this.#descriptor);
    } catch (error) {
      this.#syncFailure ??= error as Error;
    }
    if (this.#syncFailure) throw writeFailure(this.#file, 'writing', this.#syncFailure);
    try {
      closeSync(this.#descriptor);
      this.#state = 'closed';
      renameSync(this.#name, this.#file);
    } catch (cause) {
      throw writeFailure(this.#file, 'writing', cause);
    }
    syncFolder(dirname(this.#file));
  }

  /** After an error: writes what arrived, unless those bytes are themselves the error or could not be synced. */
  async close(error: unknown): Promise<void> {
    if (this.#state !== 'open') return;
    const wrong = this.#syncFailure !== null || codeOf(error) === 'TUF_HASH' || codeOf(error) === 'SOURCE_TOO_LARGE';
    this.#state = wrong ? 'dropped' : 'closed';
    try {
      if (!wrong) await this.#flush();
      await this.#writing;
    } catch {
      // The first error is the one to report.
    }
    await this.#syncing;
    closeSync(this.#descriptor);
    if (wrong) removeDurable(this.#name);
  }
}

export function expectedHashes({ sha256, hashes }: ExpectedFile): Record<string, string> {
  return { ...hashes, ...(sha256 ? { sha256 } : {}) };
}

export function newHashes(expected: ExpectedFile): Map<string, Hash> {
  const listed = expectedHashes(expected);
  return new Map(knownAlgorithms(listed, 'the file').map((algorithm) => [algorithm, createHash(algorithm)]));
}
