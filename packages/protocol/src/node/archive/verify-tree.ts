/**
 * Checks an unpacked tree against its list, in another thread where that takes a while. It reads every byte, so it costs what the
 * disk and sha256 cost.
 */
import { Worker } from 'node:worker_threads';
import { CountersignError } from '../../error.ts';
import { archiveFailure, checkCancelled, receiveError, type SentError } from './archive-failure.ts';
import { checkTree, type TreeCheckJob } from './tree-check.ts';
import type { UnpackedFile } from './tree-writer.ts';

const inline = { bytes: 4 << 20, files: 128 } as const;

/** @throws ARCHIVE_TREE_CHANGED ARCHIVE_IO ARCHIVE_CANCELLED */
export async function verifyTree(
  directory: string,
  files: readonly UnpackedFile[],
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  checkCancelled('checking', signal);
  const bytes = files.reduce((sum, file) => sum + file.length, 0);
  if (bytes <= inline.bytes && files.length <= inline.files) return checkTree({ directory, files });
  const workerData: TreeCheckJob = { directory, files };
  const worker = new Worker(new URL('./tree-check-worker.ts', import.meta.url), { workerData });
  const stop = (): void => void worker.terminate();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const answer = await new Promise<SentError | null | undefined>((done, fail) => {
      worker.once('message', done);
      worker.once('error', fail);
      worker.once('exit', () => done(undefined));
    });
    if (answer) throw receiveError(answer);
    if (answer === null) return;
    checkCancelled('checking', signal);
    throw new Error('the thread ended early');
  } catch (cause) {
    throw cause instanceof CountersignError ? cause : archiveFailure(`checking ${directory}`, cause);
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}
