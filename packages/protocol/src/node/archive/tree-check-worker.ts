/** The thread of `verifyTree`: posts null, or the refusal. */
import { parentPort, workerData } from 'node:worker_threads';
import { archiveFailure, sendError } from './archive-failure.ts';
import { checkTree, type TreeCheckJob } from './tree-check.ts';

try {
  checkTree(workerData as TreeCheckJob);
  parentPort!.postMessage(null);
} catch (error) {
  parentPort!.postMessage(sendError(archiveFailure('checking a folder', error)));
}
