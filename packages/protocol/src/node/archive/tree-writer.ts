/**
 * Writes the files of one archive into a new folder that nobody else writes to, then makes them durable. Several writers in
 * several threads may share an archive. Each reads and judges all of it and writes only its share, so that no writer trusts another.
 *
 * Must never follow a link, overwrite a file, or keep a permission other than "executable".
 */
import { createHash, hash, type Hash } from 'node:crypto';
import { closeSync, constants, fsync, lstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf } from '../../error.ts';
import { archiveError } from '../../release/archive-errors.ts';
import { archiveFailure } from './archive-failure.ts';
import type { TarEntry } from './tar-header.ts';
import type { TarSink } from './tar-reader.ts';

/** One file as it was unpacked. */
export interface UnpackedFile {
  /** With `/` between segments. */
  readonly path: string;
  readonly sha256: string;
  readonly length: number;
  readonly executable: boolean;
}

export interface Share {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** The fixed cost of one file, expressed in bytes, for balancing the shares. */
const fileCost = 64 * 1024;
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);
/** Flushes that run at once; a file system's journal commits those that wait together. */
const flushLanes = 32;
const fsyncAsync = promisify(fsync);

export class TreeWriter implements TarSink {
  readonly #root: string;
  readonly #share: Share;
  readonly #files: UnpackedFile[] = [];
  readonly #folders = new Set<string>(['']);
  readonly #made = new Set<string>(['']);
  /** Bytes given to each share so far: every writer computes the same. */
  readonly #loads: number[];
  #current: TarEntry | undefined;
  #descriptor: number | undefined;
  #hash: Hash | undefined;
  #sha256 = '';
  #written = 0;

  /** `root` exists and is empty. */
  constructor(root: string, share: Share) {
    this.#root = root;
    this.#share = share;
    this.#loads = Array<number>(share.count).fill(0);
  }

  /** The files of this share, in the archive's order. */
  get files(): readonly UnpackedFile[] {
    return this.#files;
  }

  begin(file: TarEntry): void {
    const parent = file.path.slice(0, Math.max(0, file.path.lastIndexOf('/')));
    for (
      let folder = parent;
      !this.#folders.has(folder);
      folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))
    )
      this.#folders.add(folder);
    const least = this.#loads.indexOf(Math.min(...this.#loads));
    this.#loads[least]! += file.size + fileCost;
    this.#current = least === this.#share.index ? file : undefined;
    if (this.#current === undefined) return;
    this.#make(parent);
    this.#written = 0;
    this.#sha256 = '';
    this.#hash = undefined;
    try {
      this.#descriptor = openSync(join(this.#root, file.path), newFile, file.executable ? 0o755 : 0o644);
    } catch (cause) {
      throw archiveFailure(`making ${join(this.#root, file.path)}`, cause);
    }
  }

  write(chunk: Buffer, start: number, end: number): void {
    if (this.#current === undefined) return;
    const bytes = chunk.subarray(start, end);
    if (bytes.length === this.#current.size) this.#sha256 = hash('sha256', bytes, 'hex');
    else (this.#hash ??= createHash('sha256')).update(bytes);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#descriptor!, bytes, at, bytes.length - at);
    } catch (cause) {
      throw archiveFailure(`writing ${join(this.#root, this.#current.path)}`, cause);
    }
    this.#written += bytes.length;
  }

  end(): void {
    if (this.#current === undefined) return;
    const { path, executable } = this.#current;
    const sha256 = this.#sha256 || (this.#hash ?? createHash('sha256')).digest('hex');
    this.close();
    this.#files.push({ path, sha256, length: this.#written, executable });
  }

  /** Closes an unfinished file; a writer must not be used after that. */
  close(): void {
    if (this.#descriptor === undefined) return;
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    try {
      closeSync(descriptor);
    } catch (cause) {
      throw archiveFailure(`closing a file in ${this.#root}`, cause);
    }
  }

  /**
   * Makes this share's files and its part of the folders durable. Call when every share has written all of its files.
   * @throws ARCHIVE_DISK_FULL ARCHIVE_IO
   */
  async flush(): Promise<void> {
    await flushAll(
      this.#files.map((file) => join(this.#root, file.path)),
      // Windows flushes only through a handle that may write.
      process.platform === 'win32' ? 'r+' : 'r',
    );
    if (process.platform === 'win32') return; // folders cannot be flushed there
    const folders = [...this.#folders].filter((_, index) => index % this.#share.count === this.#share.index);
    await flushAll(
      folders.map((folder) => join(this.#root, folder)),
      'r',
    );
  }

  #make(folder: string): void {
    if (this.#made.has(folder)) return;
    this.#make(folder.slice(0, Math.max(0, folder.lastIndexOf('/'))));
    const full = join(this.#root, folder);
    try {
      mkdirSync(full, 0o755);
    } catch (cause) {
      if (codeOf(cause) !== 'EEXIST') throw archiveFailure(`making the folder ${full}`, cause);
      // Another share made it first; a link would lead elsewhere.
      if (!lstatSync(full).isDirectory())
        throw archiveError('ARCHIVE_ENTRY', `${full} is in the way of a folder of the archive`);
    }
    this.#made.add(folder);
  }
}

async function flushAll(paths: readonly string[], flags: string): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < paths.length) {
      const path = paths[next++]!;
      try {
        const descriptor = openSync(path, flags);
        try {
          await fsyncAsync(descriptor);
        } finally {
          closeSync(descriptor);
        }
      } catch (cause) {
        next = paths.length;
        throw archiveFailure(`flushing ${path}`, cause);
      }
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(flushLanes, paths.length) }, lane));
  for (const done of lanes) if (done.status === 'rejected') throw done.reason;
}
