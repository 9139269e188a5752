/**
 * Unpacks a signed archive into a new folder. When `unpackArchive` returns, every byte of the archive was hashed and equal to
 * what was signed, every file is complete and durable, and the folder holds those files and nothing else. When it throws,
 * the folder is gone, or the error's context names it as `unusable`.
 *
 * Must never touch anything outside the new folder, and nobody may read that folder before this returns.
 */
import { constants, fstatSync, mkdirSync } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { codeOf, CountersignError } from '../../error.ts';
import { archiveError } from '../../release/archive-errors.ts';
import { checkArchiveTotals } from '../../release/archive-policy.ts';
import { syncFolder } from '../files/durable-file.ts';
import { archiveFailure, cancelled, checkCancelled, receiveError } from './archive-failure.ts';
import { unpackShare, type ExpectedArchive, type ShareJob, type ShareWatch } from './archive-share.ts';
import { flushFileSystem } from './file-system-flush.ts';
import type { UnpackedFile } from './tree-writer.ts';
import type { FromShare } from './unpack-worker.ts';

export interface UnpackOptions {
  /** The archive: a path, or an open file that stays open. */
  readonly archive: string | FileHandle;
  /** A folder that does not exist yet; its parent does, and only the caller can write there. */
  readonly into: string;
  readonly expect: ExpectedArchive;
  readonly signal?: AbortSignal;
  /** Packed bytes read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Up to these sizes an archive is unpacked in the calling thread: starting another would take longer. */
const inline = { unpacked: 4 << 20, files: 128 } as const;

/** @throws ARCHIVE_*: see the table; the files are sorted by path */
export async function unpackArchive(options: UnpackOptions): Promise<{ files: UnpackedFile[] }> {
  const { archive, into, expect, signal } = options;
  checkArchiveTotals(expect);
  checkCancelled('unpacking', signal);
  const handle = typeof archive === 'string' ? await openArchive(archive) : archive;
  try {
    checkLength(handle.fd, expect);
    makeTarget(into);
    try {
      const job = { descriptor: handle.fd, into: resolve(into), expect };
      const watch = { signal, onRead: (bytes: number) => options.onProgress?.(bytes, expect.length) };
      const small = expect.unpacked <= inline.unpacked && expect.files <= inline.files;
      const files = small ? await unpackHere(job, watch) : await unpackInThreads(job, watch);
      syncFolder(dirname(resolve(into)));
      return { files: files.sort((a, b) => (a.path < b.path ? -1 : 1)) };
    } catch (cause) {
      throw await removeTarget(into, archiveFailure(`unpacking into ${into}`, cause));
    }
  } finally {
    if (handle !== archive) await handle.close();
  }
}

type Job = Omit<ShareJob, 'share'>;

async function unpackHere(job: Job, watch: ShareWatch): Promise<UnpackedFile[]> {
  const writer = await unpackShare({ ...job, share: { index: 0, count: 1 } }, watch);
  await writer.flush();
  return [...writer.files];
}

/** Two threads that each judge everything and write half, because creating files takes the most time. */
async function unpackInThreads(job: Job, watch: ShareWatch): Promise<UnpackedFile[]> {
  const count = Math.min(2, availableParallelism());
  const workers = Array.from({ length: count }, (_, index) => {
    const workerData: ShareJob = { ...job, share: { index, count } };
    return new Worker(new URL('./unpack-worker.ts', import.meta.url), { workerData });
  });
  let cancel: () => void = () => undefined;
  try {
    return await new Promise<UnpackedFile[]>((done, fail) => {
      const files: UnpackedFile[] = [];
      let written = 0;
      let flushed = 0;
      cancel = () => fail(cancelled('unpacking', watch.signal!));
      watch.signal?.addEventListener('abort', cancel, { once: true });
      workers.forEach((worker, index) => {
        let finished = false;
        worker.on('error', fail);
        worker.on('exit', () => finished || fail(new Error('a thread ended early')));
        worker.on('message', (message: FromShare) => {
          if (message.kind === 'failed') fail(receiveError(message.error));
          else if (message.kind === 'read') {
            if (index === 0) watch.onRead?.(message.bytes);
          } else if (message.kind === 'written') {
            for (const file of message.files) files.push(file);
            if (++written < count) return;
            void flushTogether(job).then((flushed) => {
              if (flushed) done(files);
              else for (const each of workers) each.postMessage('flush');
            });
          } else {
            finished = true;
            if (++flushed === count) done(files);
          }
        });
      });
    });
  } finally {
    watch.signal?.removeEventListener('abort', cancel);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** From this many files on, one flush of the whole file system takes less time than one for each file. */
const manyFiles = 1000;

const flushTogether = async ({ expect, into }: Job): Promise<boolean> =>
  expect.files >= manyFiles && (await flushFileSystem(into));

async function openArchive(file: string): Promise<FileHandle> {
  try {
    return await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (cause) {
    throw archiveFailure(`opening the archive ${file}`, cause);
  }
}

function checkLength(descriptor: number, expect: ExpectedArchive): void {
  const { size } = fstatSync(descriptor);
  if (size !== expect.length)
    throw archiveError('ARCHIVE_DIGEST', `the archive has ${size} bytes, signed are ${expect.length}`);
}

function makeTarget(into: string): void {
  try {
    mkdirSync(into, 0o755);
  } catch (cause) {
    if (codeOf(cause) !== 'EEXIST' && codeOf(cause) !== 'ENOENT') throw archiveFailure(`making ${into}`, cause);
    throw archiveError('ARCHIVE_TARGET', `making ${into}: ${codeOf(cause)!}`, { cause });
  }
}

async function removeTarget(into: string, error: CountersignError): Promise<CountersignError> {
  try {
    await rm(into, { recursive: true, force: true, maxRetries: 3 });
    return error;
  } catch {
    return new CountersignError(error.code, error.message, error.hint, {
      cause: error.cause,
      context: { ...error.context, unusable: into },
    });
  }
}
