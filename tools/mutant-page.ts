/** Writes what the mutants showed to `test/mutants.md`: a part for each folder; folders that were not run stay as they are. */
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome } from './watched-run.ts';

export interface Result {
  readonly id: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly value: 'true' | 'false';
  readonly outcome: Exclude<Outcome, 'ended'>;
  /** Digest of the tests that were asked. */
  readonly behind: string;
  /** The test that noticed. */
  readonly test?: string;
}

const head = `# Mutants

What \`npm run mutants -- FOLDER --page\` showed: each check of a folder was taken out in turn, and the tests behind it were run.
A check that no test notices when it is missing is no check. [CONTRIBUTING.md](../CONTRIBUTING.md) says how to run it.
`;

export interface Shown {
  readonly results: readonly Result[];
  /** Mutants that were not asked yet. */
  readonly open: number;
}

export function writePage(root: string, folders: ReadonlyMap<string, Shown>): void {
  const file = join(root, 'test', 'mutants.md');
  const before = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split(/^(?=## )/m)
        .slice(1)
    : [];
  const parts = new Map(before.map((part) => [part.slice(3, part.indexOf('\n')), part.trimEnd()]));
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  for (const [folder, shown] of folders) parts.set(folder, partOf(root, folder, shown, commit));
  const sorted = [...parts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => `${part}\n`);
  writeFileSync(file, [head, ...sorted].join('\n'));
}

function partOf(root: string, folder: string, { results, open }: Shown, commit: string): string {
  const of = (...outcomes: Outcome[]): Result[] => results.filter(({ outcome }) => outcomes.includes(outcome));
  const byWatch = of('over time', 'over memory', 'over disk');
  const missed = of('green');
  const day = new Date().toISOString().slice(0, 10);
  const sums = [
    `${of('red').length} were noticed by a test`,
    `${byWatch.length} were ended by the watch`,
    `${missed.length} were not noticed`,
    ...(open > 0 ? [`**${open} were not asked**`] : []),
  ];
  return [
    `## ${folder}`,
    '',
    `${day}, after ${commit}: ${results.length + open} mutants. ${sums.join(', ')}.`,
    ...listed('Not noticed', missed.map(rowOf)),
    ...listed(
      'Ended by the watch',
      byWatch.map((result) => `${rowOf(result)} (${result.outcome})`),
    ),
    ...listed('Left out, since no test could tell', equivalents(root, folder)),
  ].join('\n');
}

const rowOf = ({ file, line, text, value }: Result): string =>
  `${file.split('/').at(-1)}:${line} \`${text}\` → ${value}`;

const listed = (title: string, rows: readonly string[]): string[] =>
  rows.length === 0 ? [] : ['', `${title}:`, '', ...rows.map((row) => `- ${row}`)];

/** Lines that say why taking them out changes nothing. */
function equivalents(root: string, folder: string): string[] {
  return globSync(`${folder}/*.ts`, { cwd: root })
    .sort()
    .flatMap((file) =>
      readFileSync(join(root, file), 'utf8')
        .split('\n')
        .flatMap((line, at) => {
          const why = /\/\/ equivalent: (.*)$/.exec(line)?.[1];
          return why === undefined ? [] : [`${file.split('/').at(-1)}:${at + 1} ${why}`];
        }),
    );
}
