/**
 * With `COUNTERSIGN_DUMP=DIR`, a test that fails leaves the repositories that it made in `DIR/<test>/<n>/`, as a server would have them:
 * `metadata/` and `targets/`, with every version that was published and whatever the test bent afterwards. A line on stderr names
 * each. A test that passes leaves nothing; without the variable nothing is kept at all.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterEach, getTestContext } from 'node:test';

/** What a repository has, by path with forward slashes. */
export type RepositoryFiles = () => Iterable<readonly [path: string, bytes: Uint8Array]>;

interface Kept {
  /** The test or suite that made it; empty where that is the file itself. */
  readonly by: string;
  readonly files: RepositoryFiles;
}

/** Of thousands in one test, as properties make them, the newest. */
const most = 20;
const output = process.env.COUNTERSIGN_DUMP;
let kept: Kept[] = [];

/** To be called by each repository when it is made; `files` is asked at once after the test has failed. */
export function dumpWhenTestFails(files: RepositoryFiles): void {
  if (!output) return;
  const context = getTestContext();
  const by = context === undefined || context.fullName === '<root>' ? '' : context.fullName;
  kept.push({ by, files });
  const same = kept.filter((one) => one.by === by);
  if (same.length > most) kept = kept.filter((one) => one !== same[0]);
}

if (output)
  afterEach((context) => {
    const { fullName } = context;
    // A test also uses what the suite or the test around it made, or the file before all tests.
    if (!context.passed)
      for (const { by, files } of kept)
        if (by === '' || by === fullName || fullName.startsWith(`${by} > `)) dump(fullName, files);
    kept = kept.filter(({ by }) => by !== fullName);
  });

/** A dump that cannot be written is told; it never hides why the test failed. */
function dump(test: string, files: RepositoryFiles): void {
  try {
    const folder = newFolder(join(resolve(output!), fileName(test, 80)));
    for (const [path, bytes] of files()) {
      const file = join(folder, ...path.split('/').map((name) => fileName(name, 200)));
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    }
    console.error(`repository of the failed test “${test}”: ${folder}`);
  } catch (error) {
    console.error(`no dump of the repository of “${test}”: ${(error as Error).message}`);
  }
}

/** The next number that no other test, process or run has taken. */
function newFolder(parent: string): string {
  mkdirSync(parent, { recursive: true });
  for (let n = 1; ; n++) {
    const folder = join(parent, String(n));
    try {
      mkdirSync(folder);
      return folder;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** A name that every file system takes, Windows' too, and that leads to no other folder. */
export function fileName(text: string, length: number): string {
  const plain = text
    .replace(/[^\p{L}\p{N} ._%@+,=()-]/gu, '_')
    .slice(0, length)
    .replace(/[. ]+$/, '_');
  return plain === '' || /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(plain) ? `_${plain}` : plain;
}
