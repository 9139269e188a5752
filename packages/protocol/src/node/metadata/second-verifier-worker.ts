/**
 * The worker of `second-verifier.ts`: runs tuf-js without any judgement of our own. It sees recorded bytes only, has no network,
 * and answers with what tuf-js found, or with why it refused.
 */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { Updater, type Fetcher } from 'tuf-js';
import { DownloadHTTPError, DownloadLengthMismatchError } from 'tuf-js/dist/error.js';
import { messageOf } from '../../error.ts';

export interface WorkerInput {
  readonly root1: Uint8Array;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly referenceTime: string;
  readonly paths: readonly string[];
  readonly scratch: string;
}
export interface WorkerFinding {
  readonly path: string;
  readonly target: { readonly length: number; readonly hashes: Record<string, string> } | null;
}
export type WorkerAnswer =
  | { readonly kind: 'found'; readonly findings: WorkerFinding[] }
  | { readonly kind: 'refused'; readonly reason: string };

/** What tuf-js finds in the recorded files, judged at the recorded time from the shipped root. */
export async function consultTufJs(input: WorkerInput): Promise<WorkerFinding[]> {
  const base = 'https://recorded.invalid/';
  const downloadBytes = (url: string, maximum: number): Promise<Buffer> => {
    const bytes = url.startsWith(base) ? input.files.get(url.slice(base.length)) : undefined;
    if (bytes === undefined) return Promise.reject(new DownloadHTTPError('not recorded', 404));
    if (bytes.length > maximum) return Promise.reject(new DownloadLengthMismatchError('longer than allowed'));
    return Promise.resolve(Buffer.from(bytes));
  };
  const fetcher: Fetcher = { downloadBytes, downloadFile: () => Promise.reject(new Error('no target is downloaded')) };
  writeFileSync(join(input.scratch, 'root.json'), input.root1);
  const updater = new Updater({
    metadataDir: input.scratch,
    metadataBaseUrl: base,
    fetcher,
    config: { maxRootRotations: input.files.size + 1 },
  });
  // tuf-js has no option for the time. A test checks that it uses this one.
  const referenceTime = new Date(input.referenceTime);
  // tuf-js would treat an invalid time as one before every expiry.
  if (Number.isNaN(referenceTime.getTime())) throw new RangeError('the recorded time is no time');
  const inner = updater as unknown as { trustedSet: { referenceTime: Date } };
  inner.trustedSet.referenceTime = referenceTime;
  await updater.refresh();
  const findings: WorkerFinding[] = [];
  for (const path of input.paths) {
    const found = await updater.getTargetInfo(path);
    findings.push({ path, target: found ? { length: found.length, hashes: { ...found.hashes } } : null });
  }
  return findings;
}

if (parentPort !== null && (workerData as { task?: string } | null)?.task === 'second-verifier') {
  const port = parentPort;
  const answer = await consultTufJs(workerData as WorkerInput).then<WorkerAnswer, WorkerAnswer>(
    (findings) => ({ kind: 'found', findings }),
    (error: unknown) => ({ kind: 'refused', reason: messageOf(error) }),
  );
  port.postMessage(answer);
}
