/** A separate file system that can be filled to the last byte, for tests of a full disk and of files in use. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const mount = (...args: string[]): boolean => spawnSync('mount', args, { stdio: 'ignore' }).status === 0;
const unmount = (folder: string): boolean => spawnSync('umount', ['-l', folder], { stdio: 'ignore' }).status === 0;

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-mount-'));
  const can = process.platform === 'linux' && mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder) && unmount(folder);
  rmSync(folder, { recursive: true });
  return can;
}
export const mountable = { skip: !canMount() && 'mounting a small disk needs root on Linux' };

export interface SmallDisk {
  readonly folder: string;
  /** Uses all space that is left. */
  fill(): void;
  free(): void;
}

export function smallDisk(t: TestContext, megabytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-disk-'));
  if (!mount('-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder)) throw new Error('mount failed');
  t.after(() => {
    unmount(folder);
    rmSync(folder, { recursive: true, force: true });
  });
  const ballast = join(folder, 'ballast');
  return {
    folder,
    fill: () => {
      const fd = openSync(ballast, 'a');
      try {
        for (;;) writeSync(fd, Buffer.alloc(4096));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(fd);
      }
    },
    free: () => rmSync(ballast, { force: true }),
  };
}

/** Makes a folder impossible to remove, as a running program does on Windows, until the returned function is called. */
export function keepInUse(t: TestContext, folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  if (!mount('--bind', folder, folder)) throw new Error('mount failed');
  let held = true;
  const release = (): void => {
    if (held) unmount(folder);
    held = false;
  };
  t.after(release);
  return release;
}
