/**
 * Downloads a large file over HTTP in one pass: hashed while it arrives, written through one reused buffer, continued where a
 * broken transfer or an earlier process left off. A file under its own name is complete, checked and durable. Until then the
 * bytes stand in `<file>.part`, which is only used to save transferring them again.
 */
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../error.ts';
import { escapeText } from '../../text.ts';
import { tufError } from '../../tuf/tuf-errors.ts';
import { nodeError } from '../node-errors.ts';
import { describe, withResponse, type HttpLimits, type HttpResponse } from './http-response.ts';
import { chunkSize, expectedHashes, newHashes, PartialFile, type ExpectedFile } from './partial-file.ts';

export type { ExpectedFile } from './partial-file.ts';

export interface DownloadOptions extends ExpectedFile, Omit<HttpLimits, 'pipelining'> {
  readonly url: string | URL;
  readonly file: string;
  /** Bytes present, from the start of the file; first those of an earlier transfer. */
  readonly onProgress?: (done: number) => void;
  /** Bytes per second; unlimited by default. */
  readonly rate?: number | undefined;
}

/** Bytes per second. A slower connection is given up: the time limit for the whole follows from it. */
const slowestRate = 20_000;

/** The longest time that this many bytes may take. */
export const budgetMilliseconds = (bytes: number, rate = slowestRate): number =>
  Math.ceil((300 + bytes / Math.min(slowestRate, rate)) * 1000);

/**
 * Fetches the file, or the rest of it.
 * @returns how many bytes an earlier transfer had left
 * @throws SOURCE_* (what arrived is kept), TUF_HASH (what arrived is dropped), DISK_FULL FILE_WRITE
 */
export async function download(options: DownloadOptions): Promise<{ resumed: number }> {
  const part = new PartialFile(options.file, options);
  try {
    const resumed = await part.readBack();
    options.onProgress?.(resumed);
    if (part.done < options.length) await fetchRest(options, part);
    await part.complete(describe(new URL(options.url)));
    return { resumed };
  } catch (error) {
    await part.close(error);
    throw error;
  }
}

async function fetchRest(options: DownloadOptions, part: PartialFile): Promise<void> {
  const url = new URL(options.url);
  const { length, rate } = options;
  const limits = {
    ...options,
    totalMilliseconds: options.totalMilliseconds ?? budgetMilliseconds(length - part.done, rate),
  };
  const from = part.done;
  const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  const again = await withResponse(url, headers, limits, async (response) => {
    // The server does not have this range, so the bytes here are not the start of its file.
    if (response.statusCode === 416 && from > 0) return 'from the start';
    if (from > 0 && response.statusCode === 200) part.restart();
    checkStart(response, url, part.done, length);
    await receive(response, part, options);
    return null;
  });
  if (again === null) return;
  part.restart();
  await withResponse(url, {}, limits, async (response) => {
    checkStart(response, url, 0, length);
    await receive(response, part, options);
  });
}

/** Whether an answer can be the file, or the rest of it. @throws SOURCE_STATUS SOURCE_BROKEN SOURCE_TOO_LARGE TUF_HASH */
export function checkStart({ statusCode, headers }: HttpResponse, url: URL, from: number, length: number): void {
  if (statusCode !== (from > 0 ? 206 : 200))
    throw nodeError('SOURCE_STATUS', `${describe(url)} answered with status ${statusCode}`);
  const expected = length - from;
  if (from > 0) {
    const range = String(headers['content-range']);
    const parts = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(range);
    const fits =
      parts &&
      Number(parts[1]) === from &&
      Number(parts[2]) === length - 1 &&
      (parts[3] === '*' || Number(parts[3]) === length);
    if (!fits)
      throw nodeError(
        'SOURCE_BROKEN',
        `${describe(url)} sends ${escapeText(range, 80)}, asked were bytes from ${from} of ${length}`,
      );
  }
  const announced = headers['content-length'] === undefined ? expected : Number(headers['content-length']);
  if (announced > expected)
    throw nodeError('SOURCE_TOO_LARGE', `${describe(url)} announces ${announced} bytes, expected are ${expected}`);
  if (announced !== expected)
    throw tufError('TUF_HASH', `${describe(url)} announces ${announced} bytes, expected are ${expected}`);
}

async function receive(response: HttpResponse, part: PartialFile, options: DownloadOptions): Promise<void> {
  const url = new URL(options.url);
  const start = performance.now();
  const first = part.done;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    if (part.done + chunk.length > options.length) {
      throw nodeError('SOURCE_TOO_LARGE', `${describe(url)} sends more than ${options.length} bytes`);
    }
    if (await part.take(chunk)) options.onProgress?.(part.done);
    if (options.rate !== undefined) {
      const ahead = ((part.done - first) / options.rate) * 1000 - (performance.now() - start);
      if (ahead > 20) await sleep(ahead, undefined, options.signal ? { signal: options.signal } : {});
    }
  }
  if (part.done < options.length)
    throw nodeError('SOURCE_BROKEN', `${describe(url)} ended after ${part.done} of ${options.length} bytes`);
  options.onProgress?.(part.done);
}

/** Whether a file is there, complete and as expected. Reads it once. */
export async function isComplete(file: string, expected: ExpectedFile): Promise<boolean> {
  const hashes = newHashes(expected);
  const listed = expectedHashes(expected);
  try {
    await using handle = await open(file, 'r');
    if ((await handle.stat()).size !== expected.length) return false;
    const buffer = Buffer.allocUnsafe(chunkSize);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkSize);
      if (bytesRead === 0) break;
      for (const hash of hashes.values()) hash.update(buffer.subarray(0, bytesRead));
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw nodeError('FILE_READ', `reading ${file}: ${codeOf(error) ?? 'failed'}`, { cause: error });
  }
  return [...hashes].every(([algorithm, hash]) => hash.digest('hex') === listed[algorithm]);
}
