/**
 * Makes sure that two verifiers agree. The bytes that led the core from the shipped root to its answer are judged again by
 * tuf-js, an implementation that shares no code with the core. It runs in a worker, without network, at the recorded time.
 * Anything but full agreement is a refusal: another answer, a refusal by tuf-js, a crash, or no answer in time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Worker } from 'node:worker_threads';
import { escapeText } from '../../text.ts';
import type { TargetFile } from '../../tuf/targets.ts';
import { nodeError } from '../node-errors.ts';
import { lookUp, type MetadataSession } from './metadata-client.ts';
import { recordedFiles } from './recorded-files.ts';
import type { WorkerAnswer, WorkerFinding, WorkerInput } from './second-verifier-worker.ts';

export interface OpinionInput {
  /** The root that both verifiers start from: the shipped one or another. */
  readonly root1: Uint8Array;
  /** Every file by its name in the repository; see `recordedFiles`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** When the core judged. */
  readonly referenceTime: Date;
  /** The core's answers; null where it found no such target. */
  readonly targets: readonly (
    Pick<TargetFile, 'path' | 'length' | 'hashes'> | { readonly path: string; readonly absent: true }
  )[];
  readonly wallMilliseconds?: number;
  /** The worker's module; tests give one that crashes or stays silent. */
  readonly entry?: URL;
  /** A folder that only this program writes to; the system's temporary one by default. */
  readonly scratchDirectory?: string;
}

/** Resolves when tuf-js finds exactly what the core found. @throws VERIFIERS_DISAGREE VERIFIER_FAILED */
export async function secondOpinion(input: OpinionInput): Promise<void> {
  const scratch = mkdtempSync(join(input.scratchDirectory ?? tmpdir(), 'second-verifier-'));
  try {
    const { root1, files, targets } = input;
    const paths = targets.map(({ path }) => path);
    const referenceTime = input.referenceTime.toISOString();
    const answer = await consult({ root1, files, paths, referenceTime, scratch }, input);
    if (answer.kind === 'refused')
      throw nodeError('VERIFIERS_DISAGREE', `the second verifier refuses: ${escapeText(answer.reason, 300)}`);
    compare(targets, answer.findings);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Asks both verifiers for these target paths, from the session's shipped root; both must find the same.
 * @returns the core's findings, null for a path that the repository does not have
 * @throws VERIFIERS_DISAGREE VERIFIER_FAILED, and what `lookUp` throws
 */
export async function confirmTargets(
  session: MetadataSession,
  paths: readonly string[],
  options: Pick<OpinionInput, 'wallMilliseconds' | 'scratchDirectory'> = {},
): Promise<Map<string, TargetFile | null>> {
  const found = new Map<string, TargetFile | null>();
  for (const path of paths) found.set(path, (await lookUp(session, path)).target);
  await secondOpinion({
    root1: session.options.shippedRoot,
    files: await recordedFiles(session),
    referenceTime: session.options.now,
    targets: [...found].map(([path, target]) => target ?? { path, absent: true }),
    ...options,
  });
  return found;
}

function consult(
  question: WorkerInput,
  limits: Pick<OpinionInput, 'wallMilliseconds' | 'entry'>,
): Promise<WorkerAnswer> {
  const { wallMilliseconds = 60_000, entry = new URL('./second-verifier-worker.ts', import.meta.url) } = limits;
  return new Promise<WorkerAnswer>((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(nodeError('VERIFIER_FAILED', `the second verifier ${why}`, { cause }));
    const worker = new Worker(entry, {
      workerData: { ...question, task: 'second-verifier' },
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 1024 },
      stdout: true,
      stderr: true,
    });
    let end = 'ended without an answer';
    const timer = setTimeout(() => {
      end = `gave no answer within ${wallMilliseconds} ms`;
      void worker.terminate();
    }, wallMilliseconds);
    worker.once('message', resolve);
    worker.once('error', (error) => fail(`broke off: ${escapeText(String(error), 200)}`, error));
    worker.once('exit', (code) => {
      clearTimeout(timer);
      fail(`${end} (exit ${code})`);
    });
  });
}

/** @throws VERIFIERS_DISAGREE */
function compare(targets: OpinionInput['targets'], findings: readonly WorkerFinding[]): void {
  for (const [index, ours] of targets.entries()) {
    const theirs = findings[index];
    const expected = 'absent' in ours ? null : { length: ours.length, hashes: { ...ours.hashes } };
    if (theirs?.path !== ours.path || !isDeepStrictEqual(theirs.target, expected))
      throw nodeError('VERIFIERS_DISAGREE', `the verifiers disagree about ${escapeText(ours.path, 300)}`, {
        context: { path: ours.path, core: expected, tufJs: theirs?.target ?? null },
      });
  }
}
