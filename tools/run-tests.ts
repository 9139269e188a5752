/**
 * `npm test [-- FILE… FLAGS]`: every test, or those of the files and patterns named, by node's own runner; its flags are passed on.
 * Programs that the machine lacks are installed where that is allowed (Debian, root); elsewhere the tests that need them are
 * skipped by name. Under CI=true a skip is a failure.
 * `--unit`: the packages' own tests without the slow ones, several files in one process.
 * What tests leave behind, processes and mounts too, ends with a temporary folder of this run.
 */
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { removeScratch, scratchEnvironment, scratchFolder } from './scratch.ts';
import { installParts, missingParts } from './system-parts.ts';

/** Flags of node's runner that are passed on as they are. */
const passedOn = {
  'test-name-pattern': { type: 'string', multiple: true },
  'test-skip-pattern': { type: 'string', multiple: true },
  'test-only': { type: 'boolean' },
  'test-timeout': { type: 'string' },
  'test-concurrency': { type: 'string' },
  'test-reporter': { type: 'string', multiple: true },
  'test-reporter-destination': { type: 'string', multiple: true },
  'test-shard': { type: 'string' },
  'test-force-exit': { type: 'boolean' },
  'test-update-snapshots': { type: 'boolean' },
  'experimental-test-coverage': { type: 'boolean' },
  watch: { type: 'boolean' },
} as const;

function refuse(message: string, hint: string): never {
  console.error(`error[USAGE]: ${message}\n  ${hint}`);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({ options: { ...passedOn, unit: { type: 'boolean' } }, allowPositionals: true });
  } catch (error) {
    const flags = Object.keys(passedOn).map((name) => `--${name}`);
    return refuse((error as Error).message.split('. ')[0]!, `flags are --unit, ${flags.join(', ')}`);
  }
}

const { values, positionals } = readArguments();
const { unit, ...passed } = values;
const flags = Object.entries(passed).flatMap(([name, value]) =>
  value === true ? [`--${name}`] : [value].flat().map((one) => `--${name}=${String(one)}`),
);

const everywhere = unit === true ? ['packages/**/*.test.ts'] : ['packages/**/*.test.ts', 'test/**/*.test.ts'];
const find = (pattern: string): string[] => globSync(pattern, { exclude: ['**/node_modules/**'] });
for (const name of positionals)
  if (find(name).length === 0) refuse(`no test file is called ${name}`, 'name a file, or a pattern in quotation marks');
const files = [...new Set((positionals.length > 0 ? positionals : everywhere).flatMap(find))]
  .filter((file) => unit !== true || positionals.length > 0 || !file.endsWith('.slow.test.ts'))
  .sort();

if (unit !== true) {
  const missing = missingParts();
  if (missing.length > 0) installParts(missing);
}

/** Hooks at the top of a file would run for all files of its process, so such a file has a process of its own. `after` may. */
const hasHooks = (file: string): boolean => /^(before|beforeEach|afterEach)\(/m.test(readFileSync(file, 'utf8'));

const ours = process.env.CI === 'true' || unit === true ? ['--test-reporter=./tools/ci-reporter.ts'] : [];
const reporter = values['test-reporter'] === undefined ? ours : [];
const runs =
  unit === true
    ? [
        { options: ['--test-isolation=none'], files: files.filter((file) => !hasHooks(file)) },
        { options: ['--test-concurrency=1'], files: files.filter(hasHooks) },
      ]
    : [{ options: ['--test-concurrency=2'], files }];

const scratch = scratchFolder('countersign-tests-');
let sums: { passed: number; failed: number } | undefined;

/** One runner. In a run of several, the last line of each is a part of the sum. */
function runNode(options: readonly string[], its: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, ['--test', ...options, ...reporter, ...flags, ...its], {
    stdio: ['inherit', runs.length > 1 ? 'pipe' : 'inherit', 'inherit'],
    env: scratchEnvironment(scratch),
  });
  if (child.stdout)
    createInterface({ input: child.stdout }).on('line', (line) => {
      const sum = /^(\d+) passed, (\d+) failed$/.exec(line);
      if (sum) sums = { passed: (sums?.passed ?? 0) + Number(sum[1]), failed: (sums?.failed ?? 0) + Number(sum[2]) };
      else console.log(line);
    });
  return new Promise((done) => child.on('close', (code) => done(code ?? 1)));
}

// The runners hear Ctrl-C too; what they leave is removed below.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (process.exitCode = 130));
const codes = await Promise.all(
  runs.filter((run) => run.files.length > 0).map((run) => runNode(run.options, run.files)),
);
if (sums) console.log(`${sums.passed} passed, ${sums.failed} failed`);
try {
  await removeScratch(scratch);
} catch (error) {
  console.error(`left behind: ${scratch} (${(error as Error).message})`);
}
process.exitCode ??= codes.find((code) => code !== 0) ?? 0;
