/**
 * `npm run check`: format, lint, types and unit tests, side by side. Of what is well one line is said; of what is not, everything.
 */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const tool = (path: string, ...args: string[]): string[] => [join(root, 'node_modules', path), ...args];
const steps = {
  types: tool('ts7/bin/tsc', '-p', 'tsconfig.json'),
  lint: tool('eslint/bin/eslint.js', '.'),
  format: tool('prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.'),
  tests: [join(import.meta.dirname, 'run-tests.ts'), '--unit'],
};

/** Whether the step is well. */
function run(name: keyof typeof steps): Promise<boolean> {
  const started = performance.now();
  const child = spawn(process.execPath, steps[name], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  return new Promise((done) =>
    child.on('close', (code) => {
      const last = name === 'tests' ? `  ${said.trimEnd().split('\n').at(-1)}` : '';
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`${code === 0 ? '✔' : '✖'} ${name.padEnd(7)} ${seconds.padStart(5)} s${last}`);
      if (code !== 0) console.log(said);
      done(code === 0);
    }),
  );
}

const statics = async (): Promise<boolean> =>
  [await run('types'), await run('lint'), await run('format')].every(Boolean);
const well = await Promise.all([statics(), run('tests')]);
process.exitCode = well.every(Boolean) ? 0 : 1;
