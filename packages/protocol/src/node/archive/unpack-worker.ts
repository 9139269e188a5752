/**
 * The thread of one share of a large archive. It posts `read` (packed bytes so far), then `written` with its files; told
 * `flush`, it posts `flushed`. A failure is posted once as `failed`, and nothing after it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { archiveFailure, sendError, type SentError } from './archive-failure.ts';
import { unpackShare, type ShareJob } from './archive-share.ts';
import type { UnpackedFile } from './tree-writer.ts';

export type FromShare =
  | { readonly kind: 'read'; readonly bytes: number }
  | { readonly kind: 'written'; readonly files: readonly UnpackedFile[] }
  | { readonly kind: 'flushed' }
  | { readonly kind: 'failed'; readonly error: SentError };

const port = parentPort!;
const post = (message: FromShare): void => port.postMessage(message);
const told = new Promise<void>((resolve) => port.once('message', () => resolve()));

try {
  const writer = await unpackShare(workerData as ShareJob, { onRead: (bytes) => post({ kind: 'read', bytes }) });
  post({ kind: 'written', files: writer.files });
  await told;
  await writer.flush();
  post({ kind: 'flushed' });
} catch (error) {
  post({ kind: 'failed', error: sendError(archiveFailure('unpacking the archive', error)) });
} finally {
  port.close();
}
