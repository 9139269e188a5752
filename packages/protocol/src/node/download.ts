/**
 * A large file over HTTP in one pass: hashed while it arrives, written through one reused buffer, continued where a broken transfer
 * or an earlier process left off. What stands under the file's own name is complete, checked and durable; until then
 * the bytes stand in `<file>.part`, and count for nothing but saving their transfer.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../error.ts';
import { escapeText } from '../text.ts';
import { knownAlgorithms } from '../tuf/hashes.ts';
import { tufError } from '../tuf/tuf-errors.ts';
import { removeDurable, syncFolder, writeFailure } from './durable-file.ts';
import { describe, withResponse, type HttpLimits, type HttpResponse } from './http-response.ts';
import { nodeError } from './node-errors.ts';

/** What signed metadata says of a file. Every listed hash is checked; at least one must be listed. */
export interface ExpectedFile {
  readonly length: number;
  readonly sha256?: string;
  readonly hashes?: Readonly<Record<string, string>>;
}

export interface DownloadOptions extends ExpectedFile, Omit<HttpLimits, 'pipelining'> {
  readonly url: string | URL;
  readonly file: string;
  /** Bytes that are there, from the start; first what an earlier transfer left. */
  readonly onProgress?: (done: number) => void;
  /** Bytes a second; unbounded by default. */
  readonly rate?: number | undefined;
}

const chunkSize = 1 << 20;
/** A line slower than this is not worth the wait: the budget for the whole follows from it. */
const slowestRate = 20_000;

/**
 * Fetches the file, or the rest of it.
 * @returns how many bytes an earlier transfer had left
 * @throws SOURCE_* (what arrived is kept), TUF_HASH (what arrived is dropped), DISK_FULL FILE_WRITE
 */
export async function download(options: DownloadOptions): Promise<{ resumed: number }> {
  const part = new PartialFile(options);
  try {
    const resumed = await part.readBack();
    options.onProgress?.(resumed);
    if (part.done < options.length) await fetchRest(options, part);
    part.complete();
    return { resumed };
  } catch (error) {
    part.close(error);
    throw error;
  }
}

async function fetchRest(options: DownloadOptions, part: PartialFile): Promise<void> {
  const url = new URL(options.url);
  const { length, rate } = options;
  const seconds = 300 + (length - part.done) / Math.min(slowestRate, rate ?? slowestRate);
  const limits = { ...options, totalMilliseconds: options.totalMilliseconds ?? Math.ceil(seconds * 1000) };
  const from = part.done;
  const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  const again = await withResponse(url, headers, limits, async (response) => {
    // The server has no such range: what is here cannot be the start of its file.
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

/** @throws SOURCE_STATUS SOURCE_BROKEN SOURCE_TOO_LARGE TUF_HASH */
function checkStart({ statusCode, headers }: HttpResponse, url: URL, from: number, length: number): void {
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
      part.drop();
      throw nodeError('SOURCE_TOO_LARGE', `${describe(url)} sends more than ${options.length} bytes`);
    }
    if (part.take(chunk)) options.onProgress?.(part.done);
    if (options.rate !== undefined) {
      const ahead = ((part.done - first) / options.rate) * 1000 - (performance.now() - start);
      if (ahead > 20) await sleep(ahead, undefined, options.signal ? { signal: options.signal } : {});
    }
  }
  if (part.done < options.length)
    throw nodeError('SOURCE_BROKEN', `${describe(url)} ended after ${part.done} of ${options.length} bytes`);
  options.onProgress?.(part.done);
}

/** `<file>.part`: bytes from the start of the file, and their hash. */
class PartialFile {
  readonly #options: DownloadOptions;
  readonly #name: string;
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafe(chunkSize);
  #filled = 0;
  #hashes: Map<string, Hash>;
  /** Bytes that arrived, written or still in the buffer. */
  done = 0;
  #state: 'open' | 'dropped' | 'closed' = 'open';

  constructor(options: DownloadOptions) {
    this.#options = options;
    this.#name = `${options.file}.part`;
    this.#hashes = newHashes(options);
    try {
      this.#descriptor = openSync(this.#name, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (cause) {
      throw writeFailure(this.#name, 'writing', cause);
    }
  }

  /** Hashes what an earlier transfer left; leaves nothing that cannot be the start of the file. */
  async readBack(): Promise<number> {
    const { size } = fstatSync(this.#descriptor);
    if (size > this.#options.length) this.restart();
    while (this.done < Math.min(size, this.#options.length)) {
      const count = readSync(this.#descriptor, this.#buffer, 0, chunkSize, this.done);
      if (count === 0) break;
      for (const hash of this.#hashes.values()) hash.update(this.#buffer.subarray(0, count));
      this.done += count;
      await sleep(0);
    }
    if (this.done === this.#options.length && !this.#isGood()) this.restart();
    return this.done;
  }

  restart(): void {
    ftruncateSync(this.#descriptor, 0);
    this.#hashes = newHashes(this.#options);
    this.done = this.#filled = 0;
  }

  /** True when the buffer went to the disk. */
  take(chunk: Buffer): boolean {
    let flushed = false;
    for (let at = 0; at < chunk.length;) {
      const count = chunk.copy(this.#buffer, this.#filled, at);
      this.#filled += count;
      this.done += count;
      at += count;
      if (this.#filled === chunkSize) {
        this.#flush();
        flushed = true;
      }
    }
    return flushed;
  }

  #flush(): void {
    const bytes = this.#buffer.subarray(0, this.#filled);
    for (const hash of this.#hashes.values()) hash.update(bytes);
    try {
      for (let at = 0; at < bytes.length;)
        at += writeSync(this.#descriptor, bytes, at, bytes.length - at, this.done - bytes.length + at);
    } catch (cause) {
      throw writeFailure(this.#name, 'writing', cause);
    }
    this.#filled = 0;
  }

  #isGood(): boolean {
    const expected = expectedHashes(this.#options);
    return [...this.#hashes].every(([algorithm, hash]) => hash.copy().digest('hex') === expected[algorithm]);
  }

  /** All bytes are there. @throws TUF_HASH, and drops them, when they are not the expected ones */
  complete(): void {
    this.#flush();
    if (!this.#isGood()) {
      this.drop();
      throw tufError('TUF_HASH', `${describe(new URL(this.#options.url))} is not the file that signed metadata names`);
    }
    try {
      fsyncSync(this.#descriptor);
      closeSync(this.#descriptor);
      this.#state = 'closed';
      renameSync(this.#name, this.#options.file);
    } catch (cause) {
      throw writeFailure(this.#options.file, 'writing', cause);
    }
    syncFolder(dirname(this.#options.file));
  }

  drop(): void {
    if (this.#state !== 'open') return;
    this.#state = 'dropped';
    closeSync(this.#descriptor);
    removeDurable(this.#name);
  }

  /** After an error: what arrived is written, unless it is what was wrong. */
  close(error: unknown): void {
    if (codeOf(error) === 'TUF_HASH' || codeOf(error) === 'SOURCE_TOO_LARGE') this.drop();
    if (this.#state !== 'open') return;
    this.#state = 'closed';
    try {
      this.#flush();
    } catch {
      // The first error is the one to tell.
    } finally {
      closeSync(this.#descriptor);
    }
  }
}

function expectedHashes({ sha256, hashes }: ExpectedFile): Record<string, string> {
  return { ...hashes, ...(sha256 ? { sha256 } : {}) };
}

function newHashes(expected: ExpectedFile): Map<string, Hash> {
  const listed = expectedHashes(expected);
  return new Map(knownAlgorithms(listed, 'the file').map((algorithm) => [algorithm, createHash(algorithm)]));
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
