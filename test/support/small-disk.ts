/** A separate file system that can be filled to the last byte, for tests of a full disk and of files in use. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

type Ended = Pick<TestContext, 'after'>;

/** What is mounted now; taken down however the process ends, save by a signal that it cannot catch. */
const mounted = new Set<string>();
const run = (program: string, ...args: string[]): boolean => spawnSync(program, args, { stdio: 'ignore' }).status === 0;

function mount(folder: string, ...args: string[]): boolean {
  if (mounted.size === 0) watchTheEnd();
  mounted.add(folder);
  if (run('mount', ...args, folder)) return true;
  mounted.delete(folder);
  return false;
}

function unmount(folder: string): boolean {
  if (!mounted.delete(folder)) return true;
  return run('umount', '-l', folder);
}

const unmountAll = (): void => [...mounted].reverse().forEach(unmount);
let watched = false;

function watchTheEnd(): void {
  if (watched) return;
  watched = true;
  process.on('exit', unmountAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      unmountAll();
      // As it would have been without us.
      process.kill(process.pid, signal);
    });
}

const tmpfs = (megabytes: number): string[] => ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs'];

function canMount(): boolean {
  if (process.platform !== 'linux') return false;
  const folder = mkdtempSync(join(tmpdir(), 'countersign-mount-'));
  const can = mount(folder, ...tmpfs(1)) && unmount(folder);
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

export function smallDisk(t: Ended, megabytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-disk-'));
  t.after(() => {
    unmount(folder);
    rmSync(folder, { recursive: true, force: true });
  });
  if (!mount(folder, ...tmpfs(megabytes))) throw new Error('mount failed');
  const ballast = join(folder, 'ballast');
  return {
    folder,
    fill: () => {
      const fd = openSync(ballast, 'a');
      try {
        // More than it holds never goes in, were it another disk after all.
        for (let written = 0; written <= megabytes << 20;) written += writeSync(fd, Buffer.alloc(4096));
        throw new Error(`${folder} is larger than ${megabytes} MB`);
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
export function keepInUse(t: Ended, folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  if (!mount(folder, '--bind', folder)) throw new Error('mount failed');
  const release = (): void => void unmount(folder);
  t.after(release);
  return release;
}
