/**
 * Reads a whole archive through one open file: hashes the bytes as they come, decompresses them, judges the tar and writes
 * one share of its files. File access is synchronous with one reused buffer; only zstd runs in other threads meanwhile.
 *
 * Must never report success before the last byte was hashed and compared with what was signed.
 */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdDecompress } from 'node:zlib';
import { archiveError } from '../../release/archive-errors.ts';
import type { ArchiveTotals } from '../../release/archive-policy.ts';
import { archiveFailure, checkCancelled } from './archive-failure.ts';
import { TarReader } from './tar-reader.ts';
import { TreeWriter, type Share } from './tree-writer.ts';
import { ZstdFrame } from './zstd-frame.ts';

/** What the signed statement says of an archive. */
export interface ExpectedArchive extends ArchiveTotals {
  readonly sha256: string;
}

export interface ShareJob {
  readonly descriptor: number;
  readonly into: string;
  readonly expect: ExpectedArchive;
  readonly share: Share;
}

export interface ShareWatch {
  readonly signal?: AbortSignal | undefined;
  /** Packed bytes read so far. */
  readonly onRead?: ((bytes: number) => void) | undefined;
}

/** Above the stream's high-water mark, so that it takes one chunk at a time and the buffer can be used again. */
const chunkBytes = 1 << 20;
const windowLog = 27;

/** Writes the share's files, not yet durable; `flush` of the writer makes them so. @throws ARCHIVE_* */
export async function unpackShare(
  { descriptor, into, expect, share }: ShareJob,
  watch: ShareWatch,
): Promise<TreeWriter> {
  const writer = new TreeWriter(into, share);
  const reader = new TarReader(expect, writer);
  const frame = new ZstdFrame();
  const digest = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, Math.max(expect.length, 1)));
  function* compressed() {
    for (let at = 0; at < expect.length;) {
      checkCancelled('unpacking', watch.signal);
      const chunk = buffer.subarray(0, readFully(descriptor, buffer, at, expect.length));
      digest.update(chunk);
      frame.push(chunk);
      at += chunk.length;
      watch.onRead?.(at);
      yield chunk;
    }
    frame.finish();
  }
  try {
    const decompress = createZstdDecompress({
      chunkSize: chunkBytes,
      params: { [constants.ZSTD_d_windowLogMax]: windowLog },
    });
    await pipeline(compressed(), decompress, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) reader.push(chunk);
    });
    reader.finish();
    const found = digest.digest('hex');
    if (found !== expect.sha256)
      throw archiveError('ARCHIVE_DIGEST', `the archive has sha256 ${found}, signed is ${expect.sha256}`);
    return writer;
  } catch (cause) {
    writer.close();
    throw archiveFailure('unpacking the archive', cause);
  }
}

/** Fills the buffer from `at`, up to the expected length. @throws ARCHIVE_DIGEST where the file is shorter than that */
export function readFully(descriptor: number, buffer: Buffer, at: number, length: number): number {
  const wanted = Math.min(buffer.length, length - at);
  for (let filled = 0; filled < wanted;) {
    const count = readSync(descriptor, buffer, filled, wanted - filled, at + filled);
    if (count === 0)
      throw archiveError('ARCHIVE_DIGEST', `the archive ends after ${at + filled} bytes, signed are ${length}`);
    filled += count;
  }
  return wanted;
}
