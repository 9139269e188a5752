/**
 * One run of tests under a watch. Its whole tree ends, servers and hooks that left their group too, when a test is red, when the
 * time is over, or when it takes too much memory or disk. Needs Linux's /proc.
 */
import { spawn } from 'node:child_process';
import { diskOf, emptyScratch, endProcesses, memoryOf, processesOf, scratchEnvironment } from './scratch.ts';

export interface Limits {
  readonly seconds: number;
  /** Bytes that all its processes hold together. */
  readonly memory: number;
  /** Bytes below its scratch folder. */
  readonly disk: number;
}

export type Outcome = 'green' | 'red' | 'over time' | 'over memory' | 'over disk' | 'ended';

export interface Ended {
  readonly outcome: Outcome;
  /** The red test's name; that of its file where it failed as a whole. */
  readonly test?: string;
  readonly seconds: number;
}

export interface Round {
  readonly tests: readonly string[];
  /** Where it runs. */
  readonly cwd: string;
  /** Its temporary files; emptied afterwards. No process outside of the run may name this folder. */
  readonly scratch: string;
  readonly limits: Limits;
  /** Ends it at once. */
  readonly signal?: AbortSignal;
}

const everyMs = 300;

export async function runWatched({ tests, cwd, scratch, limits, signal }: Round): Promise<Ended> {
  const started = performance.now();
  const passed = (): number => (performance.now() - started) / 1000;
  const child = spawn(process.execPath, ['--test', '--test-force-exit', '--test-reporter=tap', ...tests], {
    cwd,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: scratchEnvironment(scratch),
  });
  let outcome: Outcome | undefined;
  let test: string | undefined;
  const end = (how: Outcome): void => {
    outcome ??= how;
    child.kill('SIGKILL');
  };
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-100_000);
    test ??= /^\s*not ok \d+ - (.*)$/m.exec(said)?.[1];
    if (test !== undefined) end('red');
  });
  const code = new Promise<number | null>((done) => child.once('exit', (status) => done(status)));

  const ended = (): Promise<boolean> =>
    Promise.race([code.then(() => true), new Promise<false>((done) => setTimeout(done, everyMs, false))]);
  for (let look = 0; !(await ended()); look++) {
    if (signal?.aborted) end('ended');
    else if (passed() > limits.seconds) end('over time');
    else if (memoryOf(processesOf(scratch)) > limits.memory) end('over memory');
    else if (look % 4 === 0 && diskOf(scratch) > limits.disk) end('over disk');
  }
  const status = await code;
  // A test that hung or was killed leaves programs of its own, and disks that it mounted.
  await endProcesses(scratch);
  await emptyScratch(scratch);
  return {
    outcome: outcome ?? (status === 0 ? 'green' : 'red'),
    ...(test === undefined ? {} : { test }),
    seconds: passed(),
  };
}
