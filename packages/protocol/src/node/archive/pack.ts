/**
 * Packs a folder into an archive: a tar by node-tar, in plain ustar, with sorted names and nothing that differs between machines (no
 * owner, one time, no folder entries), then one zstd frame of level 9. The same files give the same bytes under the same Node, on
 * any system: whether a file is executable is read from its content, since Windows and some file systems have no such permission.
 * Empty folders are left out. Archives of any size take the same memory.
 *
 * This module lists, opens and reads the files; node-tar only writes the tar. So node-tar never sees a link, a name or a size
 * that was not judged, and a file that changes meanwhile is noticed. The tar goes through the device's own strict reader before
 * it is compressed. Must never pack what a device would refuse, and must never leave a partial archive under its name.
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
import type * as NodeTar from 'tar';
import { archiveError } from '../../release/archive-errors.ts';
import { ArchiveNames, archiveLimits, checkArchiveTotals } from '../../release/archive-policy.ts';
import { escapeText } from '../../unsafe-text.ts';
import { syncFolder } from '../files/durable-file.ts';
import { archiveFailure, checkCancelled } from './archive-failure.ts';
import type { ExpectedArchive } from './archive-share.ts';
import { blockBytes, endBytes, paddingOf } from './tar-header.ts';
import { TarReader } from './tar-reader.ts';

export interface ArchiveOptions {
  readonly sourceDir: string;
  /** Replaced as a whole where it exists. */
  readonly output: string;
  readonly signal?: AbortSignal;
  /** Unpacked bytes read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

interface ListedFile {
  readonly path: string;
  readonly size: number;
}

/** Fixed, so that the output does not depend on how the disk delivers bytes; above the stream's high-water mark, see `fill`. */
const chunkBytes = 1 << 20;
/** Read at once from a file. */
const readBytes = 1 << 18;
const level = 9;

/** What the statement declares of the archive: sha256 and length of its bytes, unpacked bytes, files. @throws ARCHIVE_* */
export async function packArchive(options: ArchiveOptions): Promise<ExpectedArchive> {
  const { sourceDir, output, signal } = options;
  // Loaded only for packing: devices and servers do not need it.
  const nodeTar = await import('tar');
  const files = listFiles(sourceDir);
  const unpacked = files.reduce((sum, file) => sum + file.size, 0);
  const tarBytes = files.reduce((sum, { size }) => sum + blockBytes + size + paddingOf(size), endBytes);
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
    await pipeline(
      inChunks(checked(tarOf(nodeTar, files, options), files, unpacked)),
      compress,
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          checkCancelled('packing', signal);
          digest.update(chunk);
          length += chunk.length;
          for (let at = 0; at < chunk.length;) at += writeSync(descriptor!, chunk, at);
        }
      },
    );
    const packed = { sha256: digest.digest('hex'), length, unpacked, files: files.length };
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
function listFiles(sourceDir: string): ListedFile[] {
  const names = new ArchiveNames();
  const found: ListedFile[] = [];
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
      // node-tar writes such a name below the folder `.`, which no device takes.
      if (!path.includes('/') && path.length === archiveLimits.segment)
        throw archiveError(
          'ARCHIVE_NAME',
          `the name "${path}" has ${path.length} characters at the top of the folder, allowed are ${path.length - 1} there`,
        );
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

/**
 * The tar as node-tar writes it, one file after the other. Its streams pass on at once what they are given, so that at most one
 * read is held in memory; `checked` shows that nothing stayed behind in them.
 */
function* tarOf(
  { Header, Pack, ReadEntry }: typeof NodeTar,
  files: readonly ListedFile[],
  { sourceDir, signal, onProgress }: ArchiveOptions,
): Generator<Buffer> {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const pack = new Pack({ portable: true, noPax: true, strict: true, mtime: new Date(0) });
  let written: Buffer[] = [];
  pack.on('data', (bytes: Buffer) => void written.push(bytes));
  const taken = (): Buffer[] => {
    const bytes = written;
    written = [];
    return bytes;
  };
  let done = 0;
  for (const file of files) {
    checkCancelled('packing', signal);
    const descriptor = openListed(sourceDir, file);
    try {
      const mode = isExecutable(descriptor) ? 0o755 : 0o644;
      const entry = new ReadEntry(new Header({ path: file.path, size: file.size, mode, type: 'File' }));
      pack.add(entry);
      for (const bytes of contentOf(descriptor, file)) {
        entry.write(bytes);
        yield* taken();
      }
      entry.end();
      yield* taken();
    } finally {
      closeSync(descriptor);
    }
    done += file.size;
    onProgress?.(done, total);
  }
  pack.end();
  yield* taken();
}

/** Exactly as many bytes as were listed. @throws ARCHIVE_SOURCE_CHANGED */
function* contentOf(descriptor: number, file: ListedFile): Generator<Buffer> {
  for (let position = 0; position < file.size;) {
    const chunk = Buffer.allocUnsafe(Math.min(readBytes, file.size - position));
    const count = readSync(descriptor, chunk, 0, chunk.length, position);
    if (count === 0) throw changed(file);
    position += count;
    yield chunk.subarray(0, count);
  }
  if (readSync(descriptor, Buffer.alloc(1), 0, 1, file.size) !== 0) throw changed(file);
}

/** Passes the tar on once the device's reader has found exactly the listed files in it, in their order. @throws ARCHIVE_* */
function* checked(tar: Iterable<Buffer>, files: readonly ListedFile[], unpacked: number): Generator<Buffer> {
  let next = 0;
  const reader = new TarReader(
    { files: files.length, unpacked },
    {
      begin: ({ path, size }) => {
        const listed = files[next++];
        // equivalent: the names were judged, and node-tar does not change them
        if (listed?.path !== path || listed.size !== size)
          throw archiveError(
            'ARCHIVE_DAMAGED',
            `the tar has "${escapeText(path)}" in place of "${listed?.path ?? ''}"`,
          );
      },
      write: () => {},
      end: () => {},
    },
  );
  for (const chunk of tar) {
    reader.push(chunk);
    yield chunk;
  }
  reader.finish();
}

/** The same bytes in chunks of one size, each valid until the next is asked for. */
function* inChunks(bytes: Iterable<Buffer>): Generator<Buffer> {
  const chunk = Buffer.allocUnsafeSlow(chunkBytes);
  let filled = 0;
  for (const part of bytes)
    for (let at = 0; at < part.length;) {
      if (filled === chunkBytes) {
        filled = 0;
        yield chunk;
      }
      const count = part.copy(chunk, filled, at);
      filled += count;
      at += count;
    }
  yield chunk.subarray(0, filled);
}

/** Opens one file and checks that it is the one that was listed. */
function openListed(sourceDir: string, file: ListedFile): number {
  const descriptor = openSync(
    join(sourceDir, file.path),
    constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
  );
  try {
    const stats = fstatSync(descriptor);
    if ((stats.mode & 0o7000) !== 0)
      throw archiveError(
        'ARCHIVE_ENTRY',
        `"${file.path}" has mode ${(stats.mode & 0o7777).toString(8)}: setuid, setgid and sticky are refused`,
      );
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

const changed = (file: ListedFile) =>
  archiveError('ARCHIVE_SOURCE_CHANGED', `"${file.path}" no longer has the ${file.size} bytes that it had`);

/** An ELF program or library, or a script with an interpreter line. */
function isExecutable(descriptor: number): boolean {
  const start = Buffer.alloc(4);
  const count = readSync(descriptor, start, 0, 4, 0);
  return count >= 2 && (start.toString('latin1', 0, 2) === '#!' || start.toString('latin1', 0, count) === '\u007fELF');
}
