/**
 * A scratch folder for programs that may be killed at any moment: it knows the processes that still use it, the disks that they
 * mounted below it and what both take, and it goes away whole. Processes and mounts are found by Linux's /proc; elsewhere there
 * are none to find.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A new folder. `prefix` tells people whose it is. */
export const scratchFolder = (prefix: string): string => realpathSync(mkdtempSync(join(tmpdir(), prefix)));

/**
 * The environment of a program whose temporary files belong below `folder`; by it `processesOf` finds the program again. A test
 * runner that is started by a test is a runner of its own.
 */
export function scratchEnvironment(folder: string): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  return { ...inherited, TMPDIR: folder, TEMP: folder, TMP: folder };
}

/** Ids of the running processes that name the folder in their environment or arguments, or work in it. */
export function processesOf(folder: string): number[] {
  return readdirOrNone('/proc').flatMap((name) => {
    const id = Number(name);
    return Number.isInteger(id) && id !== process.pid && usesFolder(id, folder) ? [id] : [];
  });
}

function usesFolder(id: number, folder: string): boolean {
  const ends = (text: string): boolean => text === folder || text.startsWith(`${folder}/`);
  try {
    if (/^State:\s*Z/m.test(readFileSync(`/proc/${id}/status`, 'utf8'))) return false;
    if (ends(readlinkSync(`/proc/${id}/cwd`))) return true;
    return ['environ', 'cmdline'].some((part) => readFileSync(`/proc/${id}/${part}`, 'utf8').includes(folder));
  } catch {
    return false; // It ended meanwhile, or belongs to somebody else.
  }
}

/** Memory that these processes hold for themselves, in bytes. What they share with files counts for nobody. */
export function memoryOf(processes: readonly number[]): number {
  let kilobytes = 0;
  for (const id of processes)
    try {
      for (const [, size] of readFileSync(`/proc/${id}/status`, 'utf8').matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB/gm))
        kilobytes += Number(size);
    } catch {
      // It ended meanwhile.
    }
  return kilobytes * 1024;
}

/** Bytes on disk below the folder, small disks that are mounted there included. */
export function diskOf(folder: string): number {
  const { stdout } = spawnSync('du', ['-sk', folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return Number.parseInt(stdout, 10) * 1024 || 0;
}

/** Mount points below the folder, the innermost first. */
export function mountsBelow(folder: string): string[] {
  let table: string;
  try {
    table = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return [];
  }
  return table
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, code: string) => octal(code)))
    .filter((point) => point.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length);
}

const octal = (code: string): string => String.fromCharCode(parseInt(code, 8));

/** Ends every process that uses the folder, also one that is started meanwhile. @throws when some cannot be ended */
export async function endProcesses(folder: string): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const left = processesOf(folder);
    if (left.length === 0) return;
    for (const id of left) kill(id);
    await sleep(20);
  }
  throw new Error(`processes that use ${folder} cannot be ended: ${processesOf(folder).join(', ')}`);
}

function kill(id: number): void {
  try {
    process.kill(id, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}

/** Ends what uses the folder, unmounts what is mounted below it, and removes what it holds, or all of it. */
export async function emptyScratch(folder: string): Promise<void> {
  await endProcesses(folder);
  for (const point of mountsBelow(folder))
    if (spawnSync('umount', [point], { stdio: 'ignore' }).status !== 0) spawnSync('umount', ['-l', point]);
  for (const name of readdirOrNone(folder)) rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 5 });
}

export async function removeScratch(folder: string): Promise<void> {
  await emptyScratch(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function readdirOrNone(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
