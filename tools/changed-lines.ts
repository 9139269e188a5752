/** Which lines of which files are other than in a revision, by git; with what is not committed yet. */
import { execFileSync } from 'node:child_process';

/** Line numbers, from 1, by path from the root. @throws when git does not know the revision */
export function changesSince(root: string, revision: string): Map<string, Set<number>> {
  const git = (...args: string[]): string =>
    execFileSync('git', args, {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const changed = new Map<string, Set<number>>();
  let lines = new Set<number>();
  for (const line of git(
    'diff',
    '--unified=0',
    '--no-color',
    '--no-ext-diff',
    '--no-prefix',
    '--end-of-options',
    revision,
    '--',
  ).split('\n')) {
    const file = /^\+\+\+ (.+)$/.exec(line)?.[1];
    if (file !== undefined) changed.set(file, (lines = new Set()));
    const hunk = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (hunk) for (let at = 0; at < Number(hunk[2] ?? 1); at++) lines.add(Number(hunk[1]) + at);
  }
  for (const file of git('ls-files', '--others', '--exclude-standard').split('\n').filter(Boolean))
    changed.set(file, new Set(Array.from({ length: 10_000 }, (_, at) => at + 1)));
  return changed;
}
