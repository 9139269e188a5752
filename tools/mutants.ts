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
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { changesSince } from './changed-lines.ts';
import { projectCopy } from './project-copy.ts';
import { areas } from './mutant-areas.ts';
import { writePage, type Result } from './mutant-page.ts';
import { mutantsOf } from './mutations.ts';
import { removeScratch, scratchFolder } from './scratch.ts';
import { runWatched, type Ended } from './watched-run.ts';

const root = resolve(import.meta.dirname, '..');
const { values, positionals: parts } = parseArgs({
  options: {
    since: { type: 'string' },
    fresh: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    workers: { type: 'string', default: '2' },
    results: { type: 'string', default: join(root, 'mutants.jsonl') },
  },
  allowPositionals: true,
});
const memory = 2 * 2 ** 30;
const disk = 4 * 2 ** 30;
/** For a test file on an idle machine; a round may take four times what its tests took before. */
const longest = 300;

interface Task {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly value: 'true' | 'false';
  readonly source: string;
  /** Beside the source first, then the others: most mutants end at the first. */
  readonly rounds: readonly (readonly string[])[];
}

const sha256 = (...texts: string[]): string => createHash('sha256').update(texts.join('\0')).digest('hex');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const support = globSync('test/support/*', { cwd: root }).sort().map(read).join('\0');

function tasksOf({ files, tests, judges }: (typeof areas)[number]): Task[] {
  const every = globSync([...tests], { cwd: root }).sort();
  const behind = sha256(support, ...every.map(read));
  const changed = values.since === undefined ? undefined : changesSince(root, values.since);
  return globSync(files, { cwd: root })
    .filter((file) => !/\.(test|contract)\.ts$/.test(file))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort()
    .flatMap((file) => {
      const own = every.filter((test) => test.replace(/(\.slow)?\.test\.ts$/, '.ts') === file);
      const rounds = [own, every.filter((test) => !own.includes(test))].filter((round) => round.length > 0);
      const lines = changed?.get(file);
      const all = changed === undefined || own.some((test) => changed.has(test));
      return mutantsOf(read(file), judges)
        .filter(({ line, lastLine }) => all || [...(lines ?? [])].some((at) => at >= line && at <= lastLine))
        .map((mutant) => ({ ...mutant, id: sha256(file, mutant.source, behind), file, rounds }));
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

if (process.platform !== 'linux') {
  console.error(
    'error[USAGE]: the watch over each round needs Linux\n  run it on Linux, or in the Linux of Windows (WSL)',
  );
  process.exit(2);
}
if (values.fresh) rmSync(values.results, { force: true });
const known = readResults();
const tasks = areas.flatMap(tasksOf);
const queue = tasks.filter(({ id }) => !known.has(id));
console.log(`${tasks.length} checks to take out, ${tasks.length - queue.length} of them known from an earlier run`);

const copies: string[] = [];
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    console.log('ending; what is known so far is kept');
    stopped = true;
    queue.length = 0;
  });

/** Seconds that each test file takes as it is. @throws when one is not green */
async function baseline(copy: string): Promise<Map<string, number>> {
  const seconds = new Map<string, number>();
  const files = [...new Set(queue.flatMap(({ rounds }) => rounds.flat()))];
  for (const [at, test] of files.entries()) {
    if (stopped) break;
    const limits = { seconds: longest, memory, disk };
    const ended = await runWatched({ tests: [test], cwd: copy, scratch: join(copy, 'scratch'), limits });
    if (ended.outcome !== 'green')
      throw new Error(`${test} is ${ended.outcome} before anything is taken out: ${ended.test ?? ''}`);
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
    for (const tests of task.rounds) {
      const expected = tests.reduce((sum, test) => sum + (usual.get(test) ?? longest), 0);
      const limits = { seconds: 20 + 4 * expected, memory, disk };
      const ended: Ended = await runWatched({ tests, cwd: copy, scratch: join(copy, 'scratch'), limits });
      if (stopped) return undefined;
      if (ended.outcome !== 'green')
        return { ...about, outcome: ended.outcome, test: ended.test ?? basename(tests[0]!) };
    }
    return { ...about, outcome: 'green' };
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
    const done = tasks.filter(({ id }) => known.has(id)).length;
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
} finally {
  for (const copy of copies) await removeScratch(copy);
}

const results = tasks.flatMap(({ id }) => known.get(id) ?? []);
const unnoticed = results.filter(({ outcome }) => outcome === 'green');
for (const { file, line, text, value } of unnoticed) console.log(`not noticed: ${file}:${line} ${text} → ${value}`);
const open = tasks.length - results.length;
console.log(
  `${results.length - unnoticed.length} noticed, ${unnoticed.length} not noticed${open > 0 ? `, ${open} not asked` : ''}`,
);
if (values.page && open === 0 && values.since === undefined) writePage(root, results);
if (unnoticed.length > 0 || open > 0 || (tasks.length === 0 && values.since === undefined)) process.exitCode = 1;
