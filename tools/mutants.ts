/**
 * `npm run mutants [-- PART… --since REV --fresh --page --workers N --results FILE]`: takes each security check out in turn (`mutations.ts` says
 * which), in a copy of the project, and runs the tests that should notice. A mutant that no test notices is printed and fails the run.
 *
 * PART narrows to files whose path contains it; `--since REV` to lines that changed since that revision, and to whole files whose
 * own test changed. First the tests run as they are: they must be green, and tell how long a round may take. Each round is watched
 * (`watched-run.ts`). A result is written to FILE (mutants.jsonl) as it comes, and taken from there by the next run as long as the
 * source and its tests are the same; `--fresh` asks all again. `--page` writes the results of whole folders to test/mutants.md.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { changesSince } from './changed-lines.ts';
import { projectCopy } from './project-copy.ts';
import { areas } from './mutant-areas.ts';
import { writePage, type Result } from './mutant-page.ts';
import { mutantsOf } from './mutations.ts';
import { removeScratch, scratchFolder } from './scratch.ts';
import { runWatched, type Ended } from './watched-run.ts';

const root = resolve(import.meta.dirname, '..');

function refuse(message: string, hint: string): never {
  console.error(`error[USAGE]: ${message}\n  ${hint}`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        since: { type: 'string' },
        fresh: { type: 'boolean', default: false },
        page: { type: 'boolean', default: false },
        workers: { type: 'string', default: '2' },
        results: { type: 'string', default: join(root, 'mutants.jsonl') },
      },
      allowPositionals: true,
    });
  } catch (error) {
    return refuse(
      (error as Error).message.split('. ')[0]!,
      'flags are --since, --fresh, --page, --workers and --results',
    );
  }
}
const { values, positionals: parts } = readArguments();
const memory = 2 * 2 ** 30;
const disk = 4 * 2 ** 30;
/** For a test file on an idle machine; a round may take four times what its tests took before. */
const longest = 300;

interface Round {
  readonly tests: readonly string[];
  /** Digest of these tests, of those of the rounds before, and of what they share. */
  readonly digest: string;
}

interface Task {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly value: 'true' | 'false';
  readonly source: string;
  /** Beside the source first, then the others: most mutants end at the first. */
  readonly rounds: readonly Round[];
}

function readChanges(revision: string): Map<string, Set<number>> {
  try {
    return changesSince(root, revision);
  } catch {
    return refuse(`git does not know the revision ${revision}`, 'name a commit, a branch or a tag');
  }
}
const changed = values.since === undefined ? undefined : readChanges(values.since);

const sha256 = (...texts: string[]): string => createHash('sha256').update(texts.join('\0')).digest('hex');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const support = sha256(...globSync('test/support/*', { cwd: root }).sort().map(read));
const digestOf = (tests: readonly string[]): string => sha256(support, ...tests.map(read));

function tasksOf({ files, tests, judges }: (typeof areas)[number]): Task[] {
  const every = globSync([...tests], { cwd: root }).sort();
  return globSync(files, { cwd: root })
    .filter((file) => !/\.(test|contract)\.ts$/.test(file))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort()
    .flatMap((file) => {
      const own = every.filter((test) => test.replace(/(\.slow)?\.test\.ts$/, '.ts') === file);
      const others = every.filter((test) => !own.includes(test));
      const rounds = [own, others]
        .filter((round) => round.length > 0)
        .map((round, at) => ({ tests: round, digest: digestOf(at === 0 ? round : every) }));
      const lines = changed?.get(file);
      const all = changed === undefined || own.some((test) => changed.has(test));
      return mutantsOf(read(file), judges)
        .filter(({ line, lastLine }) => all || [...(lines ?? [])].some((at) => at >= line && at <= lastLine))
        .map((mutant) => ({ ...mutant, id: sha256(file, mutant.source), file, rounds }));
    });
}

/** Results of earlier runs by the mutant's id; a line that a killed run left unfinished is not one. */
function readResults(): Map<string, Result> {
  const found = new Map<string, Result>();
  for (const line of globSync(values.results).flatMap((file) => readFileSync(file, 'utf8').split('\n')))
    try {
      const result = JSON.parse(line) as Result;
      found.set(result.id, result);
    } catch {
      continue;
    }
  return found;
}

if (process.platform !== 'linux')
  refuse('the watch over each round needs Linux', 'run it on Linux, or in the Linux of Windows (WSL)');
if (values.fresh) rmSync(values.results, { force: true });
const known = readResults();
const tasks = areas.flatMap(tasksOf);
/** Of an earlier run, if the tests are still those that said it. */
const resultFor = ({ id, rounds }: Task): Result | undefined => {
  const result = known.get(id);
  const asked = result?.outcome === 'green' ? rounds.slice(-1) : rounds;
  return asked.some(({ digest }) => digest === result?.behind) ? result : undefined;
};
const queue = tasks.filter((task) => !resultFor(task));
console.log(`${tasks.length} checks to take out, ${tasks.length - queue.length} of them known from an earlier run`);

const copies: string[] = [];
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    console.log('ending; what is known so far is kept');
    stop.abort();
    queue.length = 0;
  });

const watch = (tests: readonly string[], copy: string, seconds: number): Promise<Ended> => {
  const limits = { seconds, memory, disk };
  return runWatched({ tests, cwd: copy, scratch: join(copy, 'scratch'), limits, signal: stop.signal });
};

/** Seconds that each test file takes as it is. @throws when one is not green */
async function baseline(copy: string): Promise<Map<string, number>> {
  const seconds = new Map<string, number>();
  const files = [...new Set(queue.flatMap(({ rounds }) => rounds.flatMap(({ tests }) => tests)))];
  for (const [at, test] of files.entries()) {
    const ended = await watch([test], copy, longest);
    if (ended.outcome === 'ended') break;
    if (ended.outcome !== 'green')
      throw new Error(`${test} is ${ended.outcome} before anything is taken out: ${ended.test ?? 'as a whole'}`);
    seconds.set(test, ended.seconds);
    if ((at + 1) % 10 === 0) console.log(`as it is: ${at + 1} of ${files.length} test files are green`);
  }
  return seconds;
}

async function resultOf(task: Task, copy: string, usual: ReadonlyMap<string, number>): Promise<Result | undefined> {
  const path = join(copy, task.file);
  const original = readFileSync(path);
  const { id, file, line, value } = task;
  const about = { id, file, line, text: task.text.slice(0, 100), value };
  writeFileSync(path, task.source);
  try {
    for (const { tests, digest } of task.rounds) {
      const expected = tests.reduce((sum, test) => sum + (usual.get(test) ?? longest), 0);
      const ended = await watch(tests, copy, 20 + 4 * expected);
      if (ended.outcome === 'ended') return undefined;
      if (ended.outcome !== 'green')
        return { ...about, outcome: ended.outcome, behind: digest, test: ended.test ?? basename(tests[0]!) };
    }
    return { ...about, outcome: 'green', behind: task.rounds.at(-1)!.digest };
  } finally {
    writeFileSync(path, original);
  }
}

async function work(copy: string, usual: ReadonlyMap<string, number>): Promise<void> {
  for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
    const result = await resultOf(task, copy, usual);
    if (result === undefined) return;
    known.set(result.id, result);
    appendFileSync(values.results, `${JSON.stringify(result)}\n`);
    if (result.outcome !== 'red')
      console.log(`${wordsFor[result.outcome]}: ${result.file}:${result.line} ${result.text} → ${result.value}`);
    const done = tasks.filter(resultFor).length;
    if (done % 25 === 0) console.log(`${done} of ${tasks.length}`);
  }
}

const wordsFor = {
  green: 'not noticed',
  red: 'noticed',
  'over time': 'noticed by its time alone',
  'over memory': 'noticed by its memory alone',
  'over disk': 'noticed by its disk alone',
} as const;

try {
  if (queue.length > 0) {
    for (let count = 0; count < Number(values.workers); count++)
      copies.push(projectCopy(root, scratchFolder('countersign-mutants-')));
    const usual = await baseline(copies[0]!);
    await Promise.all(copies.map((copy) => work(copy, usual)));
  }
} catch (error) {
  console.error(`error[MUTANTS]: ${(error as Error).message}\n  mend that first: what is red already notices nothing`);
} finally {
  for (const copy of copies) await removeScratch(copy);
}

const results = tasks.flatMap((task) => resultFor(task) ?? []);
const unnoticed = results.filter(({ outcome }) => outcome === 'green');
for (const { file, line, text, value } of unnoticed) console.log(`not noticed: ${file}:${line} ${text} → ${value}`);
const open = tasks.length - results.length;
console.log(
  `${results.length - unnoticed.length} noticed, ${unnoticed.length} not noticed${open > 0 ? `, ${open} not asked` : ''}`,
);
/** Whole folders that were asked for, by what is known of them. */
const folders = new Map<string, { results: Result[]; open: number }>();
for (const task of tasks) {
  const folder = dirname(task.file);
  if (parts.length > 0 && !parts.some((part) => folder.includes(part))) continue;
  const part = folders.get(folder) ?? { results: [], open: 0 };
  const result = resultFor(task);
  if (result) part.results.push(result);
  else part.open++;
  folders.set(folder, part);
}
if (values.page && values.since === undefined) writePage(root, folders);
if (unnoticed.length > 0 || open > 0 || (tasks.length === 0 && values.since === undefined)) process.exitCode = 1;
