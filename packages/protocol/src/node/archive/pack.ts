/**
 * Packs a folder into an archive: ustar with sorted names and nothing that differs between machines (no owner, no time, no
 * folder entries), then one zstd frame of level 9. The same files give the same bytes under the same Node, on any system:
 * whether a file is executable is read from its content, since Windows and some file systems have no such permission.
 * Empty folders are not carried. Archives of any size take the same memory.
 *
 * Must never pack what a device would refuse, and must never leave a part of an archive under its name.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
} from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants as zlib, createZstdCompress } from 'node:zlib';
import { archiveError } from '../../release/archive-errors.ts';
import { ArchiveNames, archiveLimits, checkArchiveTotals } from '../../release/archive-policy.ts';
import { escapeText } from '../../unsafe-text.ts';
import { syncFolder } from '../files/durable-file.ts';
import { archiveFailure, checkCancelled } from './archive-failure.ts';
import type { ExpectedArchive } from './archive-share.ts';
import { blockBytes, endBytes, paddingOf, writeTarHeader } from './tar-header.ts';

export interface ArchiveOptions {
  readonly sourceDir: string;
  /** Replaced as a whole where it exists. */
  readonly output: string;
  readonly signal?: AbortSignal;
  /** Unpacked bytes read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

interface SourceFile {
  readonly path: string;
  readonly size: number;
}

/** Fixed, so that how the disk delivers bytes never shows in the output; above the stream's high-water mark, see `fill`. */
const chunkBytes = 1 << 20;
const level = 9;

/** What the statement declares of the archive: sha256 and length of its bytes, unpacked bytes, files. @throws ARCHIVE_* */
export async function packArchive(options: ArchiveOptions): Promise<ExpectedArchive> {
  const { sourceDir, output, signal } = options;
  const sources = listSources(sourceDir);
  const unpacked = sources.reduce((sum, file) => sum + file.size, 0);
  const tarBytes = sources.reduce((sum, { size }) => sum + blockBytes + size + paddingOf(size), endBytes);
  const temporary = `${output}.${randomBytes(6).toString('hex')}.tmp`;
  const digest = createHash('sha256');
  let length = 0;
  let descriptor: number | undefined;
  try {
    descriptor = openSync(temporary, 'wx', 0o644);
    const compress = createZstdCompress({
      chunkSize: chunkBytes,
      pledgedSrcSize: tarBytes,
      params: { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_checksumFlag]: 1 },
    });
    await pipeline(chunksOf(sourceDir, sources, options), compress, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        checkCancelled('packing', signal);
        digest.update(chunk);
        length += chunk.length;
        for (let at = 0; at < chunk.length;) at += writeSync(descriptor!, chunk, at);
      }
    });
    const packed = { sha256: digest.digest('hex'), length, unpacked, files: sources.length };
    checkArchiveTotals(packed);
    fsyncSync(descriptor);
    closeSync(descriptor);
    descriptor = undefined;
    await rename(temporary, output);
    syncFolder(dirname(output));
    return packed;
  } catch (cause) {
    if (descriptor !== undefined) closeSync(descriptor);
    await rm(temporary, { force: true });
    throw archiveFailure(`packing ${sourceDir} into ${output}`, cause);
  }
}

/** Every file below the folder, sorted by its path in the archive. */
function listSources(sourceDir: string): SourceFile[] {
  const names = new ArchiveNames();
  const found: SourceFile[] = [];
  const visit = (folder: string): void => {
    for (const name of readdirSync(join(sourceDir, folder)).sort()) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const stats = lstatSync(join(sourceDir, path));
      if (stats.isDirectory()) {
        names.addFolder(path);
        visit(path);
        continue;
      }
      if (!stats.isFile())
        throw archiveError('ARCHIVE_ENTRY', `"${escapeText(path)}" in ${sourceDir} is a link or a special file`);
      names.addFile(path);
      if (stats.size > archiveLimits.fileBytes)
        throw archiveError(
          'ARCHIVE_LIMIT',
          `"${path}" has ${stats.size} bytes, allowed are ${archiveLimits.fileBytes} for one file`,
        );
      found.push({ path, size: stats.size });
    }
  };
  try {
    visit('');
  } catch (cause) {
    throw archiveFailure(`listing ${sourceDir}`, cause);
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The tar in chunks of one size. Each chunk is valid until the next is asked for. */
function* chunksOf(sourceDir: string, sources: readonly SourceFile[], options: ArchiveOptions): Generator<Buffer> {
  const chunk = Buffer.allocUnsafeSlow(chunkBytes);
  const total = sources.reduce((sum, file) => sum + file.size, 0);
  let filled = 0;
  let done = 0;
  /** Passes on what `fill` wrote at once: it returns how many bytes, at least 1, that it put into the free part. */
  function* put(bytes: number, fill: (at: number, free: number) => number): Generator<Buffer> {
    for (let left = bytes; left > 0;) {
      if (filled === chunkBytes) {
        filled = 0;
        yield chunk;
      }
      const count = fill(filled, Math.min(left, chunkBytes - filled));
      filled += count;
      left -= count;
    }
  }
  const header = Buffer.alloc(blockBytes);
  function* copy(from: Buffer): Generator<Buffer> {
    let copied = 0;
    yield* put(from.length, (at, free) => {
      const count = from.copy(chunk, at, copied, copied + free);
      copied += count;
      return count;
    });
  }
  function* zeros(count: number): Generator<Buffer> {
    yield* put(count, (at, free) => {
      chunk.fill(0, at, at + free);
      return free;
    });
  }
  for (const source of sources) {
    checkCancelled('packing', options.signal);
    const descriptor = openSource(sourceDir, source);
    try {
      writeTarHeader(header, 0, { ...source, executable: isExecutable(descriptor) });
      yield* copy(header);
      let position = 0;
      yield* put(source.size, (at, free) => {
        const count = readSync(descriptor, chunk, at, free, position);
        if (count === 0) throw sourceChanged(source);
        position += count;
        return count;
      });
      if (readSync(descriptor, Buffer.alloc(1), 0, 1, position) !== 0) throw sourceChanged(source);
      yield* zeros(paddingOf(source.size));
      done += source.size;
      options.onProgress?.(done, total);
    } finally {
      closeSync(descriptor);
    }
  }
  yield* zeros(endBytes);
  yield chunk.subarray(0, filled);
}

/** Opens one source and judges what was really opened. */
function openSource(sourceDir: string, source: SourceFile): number {
  const descriptor = openSync(
    join(sourceDir, source.path),
    constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
  );
  try {
    const stats = fstatSync(descriptor);
    if ((stats.mode & 0o7000) !== 0)
      throw archiveError(
        'ARCHIVE_ENTRY',
        `"${source.path}" has mode ${(stats.mode & 0o7777).toString(8)}: setuid, setgid and sticky are refused`,
      );
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

const sourceChanged = (source: SourceFile) =>
  archiveError('ARCHIVE_SOURCE_CHANGED', `"${source.path}" no longer has the ${source.size} bytes that it had`);

/** An ELF program or library, or a script with an interpreter line. */
function isExecutable(descriptor: number): boolean {
  const start = Buffer.alloc(4);
  const count = readSync(descriptor, start, 0, 4, 0);
  return count >= 2 && (start.toString('latin1', 0, 2) === '#!' || start.toString('latin1', 0, count) === '\u007fELF');
}
