/**
 * `npm run bench [-- NAME…]`: every benchmark (or those named) beside its peers, on this machine, written to bench/RESULTS.md.
 * Peers from Debian (nginx, curl, openssl, tar, wrk) must be installed; if one is missing, its benchmark is left out with a message.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { globSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ratioOf, type Benchmark, type Row } from './measurement.ts';

const named = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const has = (command: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0;
const versionOf = (command: string, ...args: string[]): string => {
  const run = spawnSync(command, args, { encoding: 'utf8' });
  return run.status === 0 ? `${run.stdout}${run.stderr}`.split('\n')[0]!.trim() : 'not here';
};
const round = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

const results: { name: string; rows: readonly Row[] }[] = [];
for (const file of globSync('*.ts', { cwd: import.meta.dirname }).sort()) {
  if (
    ['main.ts', 'measurement.ts'].includes(basename(file)) ||
    (named.length > 0 && !named.includes(basename(file, '.ts')))
  )
    continue;
  const loaded = (await import(pathToFileURL(join(import.meta.dirname, file)).href)) as { benchmark?: Benchmark };
  if (!loaded.benchmark) continue;
  const missing = loaded.benchmark.needs.filter((command) => !has(command));
  if (missing.length > 0) {
    console.log(`${loaded.benchmark.name}: left out, not on this machine: ${missing.join(', ')}`);
    continue;
  }
  console.log(`${loaded.benchmark.name} …`);
  const rows = await loaded.benchmark.run();
  for (const row of rows)
    console.log(
      `  ${row.what}: ${round(row.ours)} ${row.unit}${row.peer ? `, ${row.peer.name} ${round(row.peer.value)}, ratio ${round(ratioOf(row)!)}` : ''}`,
    );
  results.push({ name: loaded.benchmark.name, rows });
}

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const page = [
  '# Benchmark results',
  '',
  `Medians of interleaved runs by \`npm run bench\` at ${commit}, ${new Date().toISOString().slice(0, 10)}. A ratio is ours divided by the peer's.`,
  '',
  `Machine: ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}.`,
  `Peers: ${[versionOf('nginx', '-v'), versionOf('curl', '--version'), versionOf('openssl', 'version'), versionOf('tar', '--version')].join(' · ')}.`,
];
for (const { name, rows } of results) {
  page.push('', `## ${name}`, '', '| what | ours | peer | ratio | goal |', '|---|---|---|---|---|');
  for (const row of rows) {
    const peer = row.peer ? `${row.peer.name.replaceAll('|', '\\|')} ${round(row.peer.value)}` : '';
    const ratio = ratioOf(row);
    const goal = row.goal ? `${row.goal.words}: ${row.goal.met ? 'met' : '**not met**'}` : '';
    page.push(
      `| ${row.what} | ${round(row.ours)} ${row.unit} | ${peer} | ${ratio === undefined ? '' : round(ratio)} | ${goal} |`,
    );
  }
}
if (named.length === 0) writeFileSync(join(import.meta.dirname, 'RESULTS.md'), `${page.join('\n')}\n`);
else console.log(page.join('\n'));
