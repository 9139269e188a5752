/**
 * Asks Linux to write a whole file system out at once (syncfs, which Node does not offer, through `sync -f` of coreutils or
 * busybox). It only hastens: every file and folder is flushed by fsync afterwards all the same, which then finds little left
 * to do instead of committing the journal thousands of times. So no failure of it matters, and none is reported.
 */
import { execFile } from 'node:child_process';

const programs = ['/usr/bin/sync', '/bin/sync'] as const;
/** Others may have written much to the same disk. */
const patienceMilliseconds = 30_000;

/** Resolves when it is done, is not possible here, or takes too long. */
export async function hastenFlush(folder: string): Promise<void> {
  if (process.platform !== 'linux') return;
  for (const program of programs) {
    const found = await new Promise<boolean>((done) => {
      execFile(program, ['-f', folder], { env: {}, timeout: patienceMilliseconds }, (error) =>
        done(error?.code !== 'ENOENT'),
      );
    });
    if (found) return;
  }
}
