/**
 * Starts a program with a deadline, and ends it with everything that it started. Never through a shell; the environment is
 * exactly what the caller gives; output is kept up to a limit and dropped beyond it.
 *
 * A program that ends in time may leave a detached process behind (a component's `start` does); only a deadline or `kill`
 * ends the whole tree.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '@countersign/protocol';

export interface Command {
  readonly file: string;
  readonly arguments: readonly string[];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
}

export type Ending =
  | { readonly kind: 'exited'; readonly code: number; readonly output: string }
  | { readonly kind: 'killed'; readonly signal: string; readonly output: string }
  | { readonly kind: 'deadline'; readonly output: string }
  | { readonly kind: 'not-started'; readonly code: string };

export interface RunOptions {
  readonly deadlineMilliseconds: number;
  readonly outputLimit?: number;
  /** Called as soon as the process exists, with what distinguishes it from a later process of the same number. */
  readonly onStarted?: (identity: ProcessIdentity) => void;
}

/** Runs the program to its end or the deadline. Never throws. */
export function runToEnd(command: Command, options: RunOptions): Promise<Ending> {
  const limit = options.outputLimit ?? 64 * 1024;
  return new Promise((done) => {
    let child: ChildProcess;
    try {
      child = spawn(command.file, command.arguments, {
        cwd: command.directory,
        env: { ...command.environment },
        stdio: ['ignore', 'pipe', 'pipe'],
        shell: false,
        windowsHide: true,
        // A separate process group, so that the whole group can be ended.
        detached: process.platform !== 'win32',
      });
    } catch (error) {
      return done({ kind: 'not-started', code: codeOf(error) ?? 'failed' });
    }
    const chunks: Buffer[] = [];
    let length = 0;
    const take = (chunk: Buffer): void => {
      if (length < limit) chunks.push(chunk.subarray(0, limit - length));
      length += chunk.length;
    };
    child.stdout!.on('data', take);
    child.stderr!.on('data', take);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      killTree(child.pid!);
    }, options.deadlineMilliseconds);
    child.on('error', (error) => {
      if (child.pid !== undefined) return;
      clearTimeout(timer);
      done({ kind: 'not-started', code: codeOf(error) ?? 'failed' });
    });
    child.on('spawn', () => options.onStarted?.({ pid: child.pid!, started: startOf(child.pid!) }));
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      const finish = (): void => {
        // A detached process may hold the pipes for ever.
        child.stdout!.destroy();
        child.stderr!.destroy();
        const output = Buffer.concat(chunks).toString('utf8');
        if (late) done({ kind: 'deadline', output });
        else if (code === null) done({ kind: 'killed', signal: signal ?? 'unknown', output });
        else done({ kind: 'exited', code, output });
      };
      const drain = setTimeout(finish, 100);
      child.on('close', () => {
        clearTimeout(drain);
        finish();
      });
    });
  });
}

/** Identifies one process: its number may be reused later, but not together with its start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; null where the system does not give it. */
  readonly started: string | null;
}

/** Ends a process of an earlier run and everything it started, if it is still the same process. */
export function killIfSame({ pid, started }: ProcessIdentity): void {
  if (started !== null && startOf(pid) === started) killTree(pid);
}

/** Ends the process, its group and its descendants. Never throws. */
function killTree(pid: number): void {
  if (process.platform === 'win32') {
    const command = join(process.env.SystemRoot ?? 'C:\\Windows', 'System32', 'taskkill.exe');
    try {
      execFileSync(command, ['/PID', String(pid), '/T', '/F'], { stdio: 'ignore', timeout: 10_000, windowsHide: true });
    } catch {
      signal(pid);
    }
    return;
  }
  const family = descendants(pid);
  signal(-pid);
  for (const member of [pid, ...family]) signal(member);
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** Linux: boot and clock tick of the start. */
function startOf(pid: number): string | null {
  try {
    const ticks = statOf(pid)?.[19];
    return ticks === undefined ? null : `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${ticks}`;
  } catch {
    return null;
  }
}

/** Fields of /proc/PID/stat after the name, which may hold anything: state, parent, … */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return [];
  }
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statOf(Number(name))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (const queue = [root]; queue.length > 0;) {
    const next = children.get(queue.pop()!) ?? [];
    found.push(...next);
    queue.push(...next);
  }
  return found;
}
