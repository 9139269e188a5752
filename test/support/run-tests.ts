/**
 * `npm test`: every test, by node's own runner. What the machine lacks is installed where that is allowed (Debian, root), said
 * aloud; elsewhere each missing part is a skip with its name. Under CI=true a skip is a failure.
 * `--unit` runs the packages' own tests only.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { missingParts, installParts } from './system-parts.ts';

const unit = process.argv.includes('--unit');
const named = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));

if (!unit) {
  const missing = missingParts();
  if (missing.length > 0) installParts(missing);
}

const patterns =
  named.length > 0
    ? named
    : unit
      ? ['packages/**/*.test.ts']
      : ['packages/**/*.test.ts', 'test/**/*.test.ts', 'demo/**/*.test.ts'];
const files = globSync(patterns, { exclude: ['**/node_modules/**'] }).sort();
if (files.length === 0) {
  console.error('error[NO_TESTS]: no test file matches');
  process.exit(2);
}
const reporter = process.env.CI === 'true' ? ['--test-reporter', './test/support/ci-reporter.ts'] : [];
const run = spawnSync(process.execPath, ['--test', '--test-concurrency=2', ...reporter, ...files], {
  stdio: 'inherit',
});
process.exitCode = run.status ?? 1;
