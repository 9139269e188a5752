/**
 * The demo's stage: spawns the real programs, shows the exact command that a person would type, and ends everything it started.
 * It does not contain any logic of Countersign.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import pc from 'picocolors';

const root = resolve(import.meta.dirname, '..');
const programs = {
  countersign: 'packages/signer/bin/countersign.js',
  'countersign-server': 'packages/repo-server/bin/countersign-server.js',
  'countersign-device': 'packages/client/bin/countersign-device.js',
} as const;
export type Program = keyof typeof programs;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The expected exit code. */
  readonly expect?: number;
  /** Do not show it: the demo asks, not a person. */
  readonly quiet?: boolean;
  /** Whether `--json` is added, which is what machines read. */
  readonly json?: boolean;
}

export class StageError extends Error {}

/** Quotes a word for a shell, so that the line can be pasted. */
const quote = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

export class Stage {
  readonly directory: string;
  readonly started = performance.now();
  readonly #running = new Set<ChildProcess>();

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(join(directory, 'logs'), { recursive: true });
  }

  /** A path inside the demo's folder, as a person at the project's root would type it. */
  path(...names: string[]): string {
    const inside = relative(root, join(this.directory, ...names));
    return inside.startsWith('..') ? join(this.directory, ...names) : inside;
  }

  say(text = ''): void {
    console.log(text);
  }

  heading(text: string): void {
    console.log(`\n${pc.bold(text)}`);
  }

  show(program: string, args: readonly string[]): void {
    const typed = Object.hasOwn(programs, program) ? ['npx', program, ...args] : [program, ...args];
    console.log(pc.dim(`  $ ${typed.map(quote).join(' ')}`));
  }

  /** Runs a command to its end, with `--json`; shows it first. @throws StageError when it exits with another code than expected */
  async run(
    program: Program,
    args: readonly string[],
    { expect = 0, quiet = false, json = true }: RunOptions = {},
  ): Promise<Ran> {
    if (!quiet) this.show(program, args);
    const child = this.#spawn([join(root, programs[program]), ...args, ...(json ? ['--json'] : [])], 'pipe');
    let stdout = '';
    let stderr = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const code = await ended(child);
    if (code !== expect)
      throw new StageError(
        `${[program, ...args].map(quote).join(' ')} exited ${code}, expected ${expect}\n${stdout}${stderr}`,
      );
    return { code, stdout, stderr };
  }

  /** As `run`, and reads the answer: the JSON object on the last line. */
  async ask<T = Record<string, unknown>>(
    program: Program,
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<T> {
    const { stdout } = await this.run(program, args, options);
    return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as T;
  }

  /** Gives the terminal to a command that asks a person. */
  async handOver(program: Program, args: readonly string[]): Promise<number> {
    this.show(program, args);
    return ended(this.#spawn([join(root, programs[program]), ...args], 'inherit'));
  }

  /** Starts a program that keeps running; resolves with the first line of its output that `ready` recognises. */
  async start<T>(
    name: string,
    command: readonly string[],
    ready: (line: string) => T | undefined,
    seconds = 30,
  ): Promise<T> {
    const child = this.#spawn(command, 'pipe');
    const log = createWriteStream(join(this.directory, 'logs', `${name}.log`), { flags: 'a' });
    child.stderr!.pipe(log, { end: false });
    return new Promise<T>((found, lost) => {
      const timer = setTimeout(
        () => lost(new StageError(`${name} was not ready after ${seconds} s, see logs/${name}.log`)),
        seconds * 1000,
      );
      let buffered = '';
      let done = false;
      child.stdout!.setEncoding('utf8').on('data', (text: string) => {
        log.write(text);
        if (done) return;
        buffered += text;
        const lines = buffered.split('\n');
        buffered = lines.pop()!;
        for (const line of lines) {
          const value = ready(line);
          if (value === undefined) continue;
          done = true;
          clearTimeout(timer);
          found(value);
          return;
        }
      });
      child.on('exit', (code) => {
        clearTimeout(timer);
        lost(new StageError(`${name} ended with ${String(code)}, see logs/${name}.log`));
      });
    });
  }

  startProgram<T>(
    name: string,
    program: Program,
    args: readonly string[],
    ready: (line: string) => T | undefined,
  ): Promise<T> {
    this.show(program, args);
    return this.start(name, [join(root, programs[program]), ...args], ready);
  }

  /** Resolves when a person ends the demo. */
  untilInterrupted(): Promise<void> {
    return new Promise((done) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => done());
    });
  }

  /** Ends what is still running: first by a request, then by force. */
  async end(): Promise<void> {
    await Promise.all(
      [...this.#running].map(async (child) => {
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
        await ended(child);
        clearTimeout(timer);
      }),
    );
  }

  #spawn(args: readonly string[], stdio: 'pipe' | 'inherit'): ChildProcess {
    const child = spawn(process.execPath, [...args], {
      cwd: root,
      stdio: stdio === 'pipe' ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    });
    this.#running.add(child);
    child.on('exit', () => this.#running.delete(child));
    return child;
  }
}

const ended = (child: ChildProcess): Promise<number> =>
  new Promise((done, fail) => {
    if (child.exitCode !== null) return done(child.exitCode);
    child.on('error', fail);
    child.on('close', (code, signal) => done(code ?? (signal ? 128 : 1)));
  });
