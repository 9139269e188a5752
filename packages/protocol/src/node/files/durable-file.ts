/**
 * Writes and reads files that survive a power cut. Invariants: a reader sees the old content or the new one, never a part; when a
 * function returns, what it did is on the disk, including the folder entry. Must never leave a half-written file under its own
 * name. Everything is synchronous: these files are small, and their order matters.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { codeOf, type CountersignError } from '../../error.ts';
import { nodeError } from '../node-errors.ts';

const leftover = /\.[0-9a-f]{12}\.tmp$/;

export interface WriteOptions {
  /** POSIX permissions of the new file; Windows ignores them. 0o600 for secrets. */
  readonly mode?: number;
}

/**
 * Replaces the whole file: temporary file beside it, fsync, rename, fsync of the folder. The folder must exist.
 * @throws DISK_FULL FILE_WRITE; the old content then still stands
 */
export function writeDurable(file: string, bytes: Uint8Array | string, options: WriteOptions = {}): void {
  const content = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes;
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  let descriptor: number | undefined;
  try {
    descriptor = openSync(temporary, 'wx', options.mode ?? 0o644);
    for (let at = 0; at < content.length;) at += writeSync(descriptor, content, at);
    fsyncSync(descriptor);
    closeSync(descriptor);
    descriptor = undefined;
    rename(temporary, file);
  } catch (cause) {
    if (descriptor !== undefined) closeSync(descriptor);
    unlinkIfPresent(temporary);
    throw writeFailure(file, 'writing', cause);
  }
  syncFolder(dirname(file));
}

/** The content; undefined if the file does not exist. @throws FILE_READ, also when it is over `maximumBytes` */
export function readIfPresent(file: string, maximumBytes = Number.MAX_SAFE_INTEGER): Buffer | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const { size } = fstatSync(descriptor);
    if (size > maximumBytes)
      throw nodeError('FILE_READ', `reading ${file}: it has ${size} bytes, allowed are ${maximumBytes}`);
    return readFileSync(descriptor);
  } catch (cause) {
    if (codeOf(cause) === 'FILE_READ') throw cause;
    if (descriptor === undefined && codeOf(cause) === 'ENOENT') return undefined;
    throw nodeError('FILE_READ', `reading ${file}: ${codeOf(cause) ?? 'failed'}`, { cause });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Creates the folder and those above it, each durably; true if it did not exist before. @throws DISK_FULL FILE_WRITE */
export function makeFolder(folder: string, options: WriteOptions = {}): boolean {
  let first: string | undefined;
  try {
    first = mkdirSync(folder, { recursive: true, ...options });
  } catch (cause) {
    throw writeFailure(folder, 'making the folder', cause);
  }
  if (first === undefined) return false;
  for (let made = resolve(folder); ; made = dirname(made)) {
    syncFolder(dirname(made));
    if (made === resolve(first)) return true;
  }
}

/** Removes the file durably, if it exists. @throws FILE_WRITE */
export function removeDurable(file: string): void {
  try {
    unlinkSync(file);
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return;
    throw writeFailure(file, 'removing', cause);
  }
  syncFolder(dirname(file));
}

/** Removes temporary files that a dead process left in the folder. The caller must hold the lock of the folder's writers. */
export function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) if (leftover.test(name)) unlinkIfPresent(join(folder, name));
}

/** Makes new, renamed and removed entries of the folder durable. Windows cannot fsync a folder; there nothing is done. */
export function syncFolder(folder: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(folder, 'r');
    fsyncSync(descriptor);
  } catch (cause) {
    if (process.platform === 'win32' && ['EPERM', 'EISDIR', 'EACCES'].includes(codeOf(cause) ?? '')) return;
    throw writeFailure(folder, 'syncing the folder', cause);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Windows refuses a rename while a scanner or indexer has the old file open. Those close it after a moment. */
function rename(from: string, to: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      return renameSync(from, to);
    } catch (error) {
      const passing = process.platform === 'win32' && ['EPERM', 'EACCES', 'EBUSY'].includes(codeOf(error) ?? '');
      if (!passing || attempt === 50) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

function unlinkIfPresent(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // At worst it stays behind, and removeLeftovers removes it.
  }
}

/** The coded form of what Node threw while writing. */
export function writeFailure(file: string, action: string, cause: unknown): CountersignError {
  const code = codeOf(cause);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return nodeError(full ? 'DISK_FULL' : 'FILE_WRITE', `${action} ${file}: ${code ?? String(cause)}`, {
    cause,
    context: { file, action },
  });
}
