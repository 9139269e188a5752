/**
 * Checks whether a large file, on a server or in the folder that a server would serve, is the listed one. Reads it once and
 * hashes it, stores nothing, and uses the memory of one buffer. Refuses with the code that `download` gives for such a file.
 */
import { createHash } from 'node:crypto';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { codeOf } from '../../error.ts';
import { tufError } from '../../tuf/tuf-errors.ts';
import { nodeError } from '../node-errors.ts';
import { budgetMilliseconds, checkStart } from './download.ts';
import { describe, withResponse, type HttpLimits } from './http-response.ts';
import { chunkSize } from './partial-file.ts';

export interface FileCheck {
  readonly length: number;
  readonly sha256: string;
  /** Bytes that were read. */
  readonly onProgress?: (done: number) => void;
}

/** @throws SOURCE_* TUF_HASH */
export async function checkRemoteFile(url: URL, expected: FileCheck, limits: HttpLimits = {}): Promise<void> {
  const total = limits.totalMilliseconds ?? budgetMilliseconds(expected.length);
  await withResponse(url, {}, { ...limits, totalMilliseconds: total }, async (response) => {
    checkStart(response, url, 0, expected.length);
    const done = await checkBytes(response.body as AsyncIterable<Buffer>, describe(url), expected);
    if (done < expected.length)
      throw nodeError('SOURCE_BROKEN', `${describe(url)} ended after ${done} of ${expected.length} bytes`);
  });
}

/** @throws SOURCE_STATUS (not there) SOURCE_TOO_LARGE TUF_HASH FILE_READ */
export async function checkLocalFile(file: string, expected: FileCheck): Promise<void> {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw nodeError('SOURCE_STATUS', `${file} is listed and is no file`);
    await using handle = await open(file, 'r');
    const done = await checkBytes(chunksOf(handle), file, expected);
    // A server would announce the file's real length, and a device would see from it that this is another file.
    if (done < expected.length)
      throw tufError('TUF_HASH', `${file} has ${done} bytes, expected are ${expected.length}`);
  } catch (cause) {
    const code = codeOf(cause);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw nodeError('SOURCE_STATUS', `${file} is listed and not there`);
    if (code !== undefined && /^E[A-Z0-9]+$/.test(code))
      throw nodeError('FILE_READ', `reading ${file}: ${code}`, { cause });
    throw cause;
  }
}

/** One buffer, used again for each chunk. */
async function* chunksOf(handle: FileHandle): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(chunkSize);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, chunkSize);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Returns how many bytes there were; the caller judges whether they are too few. */
async function checkBytes(
  chunks: AsyncIterable<Buffer>,
  what: string,
  { length, sha256, onProgress }: FileCheck,
): Promise<number> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const chunk of chunks) {
    done += chunk.length;
    if (done > length) throw nodeError('SOURCE_TOO_LARGE', `${what} has more than ${length} bytes`);
    hash.update(chunk);
    onProgress?.(done);
  }
  if (done === length && hash.digest('hex') !== sha256)
    throw tufError('TUF_HASH', `${what} has another sha256 than the one that is listed`);
  return done;
}
