/**
 * `npm test`: runs every test with node's own runner. System programs that the machine lacks are installed where possible
 * (Debian, root), with a message; elsewhere each missing part is a skip with its name. Under CI=true a skip is a failure.
 * `--unit` runs the packages' own tests only. The tests use their own temporary folder, which is removed afterwards.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
const reporter = process.env.CI === 'true' ? ['--test-reporter', './tools/ci-reporter.ts'] : [];
const scratch = mkdtempSync(join(tmpdir(), 'countersign-tests-'));
const run = spawnSync(process.execPath, ['--test', '--test-concurrency=2', ...reporter, ...files], {
  stdio: 'inherit',
  env: { ...process.env, TMPDIR: scratch, TEMP: scratch, TMP: scratch },
});
try {
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
} catch (error) {
  console.error(`left behind: ${scratch} (${(error as Error).message})`);
}
process.exitCode = run.status ?? 1;
