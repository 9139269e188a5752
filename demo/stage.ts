/**
 * The demo's stage: spawns the real programs, shows the exact command that a person would type, and ends everything it started.
 * It does not contain any logic of Countersign.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import pc from 'picocolors';

const root = resolve(import.meta.dirname, '..');
const programs = {
  countersign: 'packages/signer/bin/countersign.js',
  'countersign-server': 'packages/repo-server/bin/countersign-server.js',
  'countersign-device': 'packages/client/bin/countersign-device.js',
} as const;
const readySeconds = 30;
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

export interface StartOptions {
  /** Given each line that it says. */
  readonly onLine?: (line: string) => void;
  /** Told when it has ended after it was ready, whoever ended it. */
  readonly onEnd?: (code: number) => void;
}

export class StageError extends Error {}

/** Quotes a word for a shell, so that the line can be pasted. */
const quote = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

export class Stage {
  readonly directory: string;
  readonly started = performance.now();
  readonly #running = new Set<ChildProcess>();
  /** Whether `end` was called. */
  ended = false;

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

  /** Starts a program that keeps running; resolves with what `ready` recognises in the first line of its output that it does. */
  async start<T>(
    name: string,
    command: readonly string[],
    ready: (line: string) => T | undefined,
    { onLine, onEnd }: StartOptions = {},
  ): Promise<T> {
    const child = this.#spawn(command, 'pipe');
    const log = createWriteStream(join(this.directory, 'logs', `${name}.log`), { flags: 'a' });
    return new Promise<T>((found, lost) => {
      const late = `${name} was not ready after ${readySeconds} s, see logs/${name}.log`;
      const timer = setTimeout(() => lost(new StageError(late)), readySeconds * 1000);
      let done = false;
      for (const stream of [child.stdout!, child.stderr!])
        createInterface({ input: stream }).on('line', (line) => {
          log.write(`${line}\n`);
          onLine?.(line);
          const value = done || stream === child.stderr ? undefined : ready(line);
          if (value === undefined) return;
          done = true;
          clearTimeout(timer);
          found(value);
        });
      child.on('close', (code) => {
        clearTimeout(timer);
        log.end();
        lost(new StageError(`${name} ended with ${String(code)}, see logs/${name}.log`));
        if (done) onEnd?.(code ?? 1);
      });
    });
  }

  startProgram<T>(
    name: string,
    program: Program,
    args: readonly string[],
    ready: (line: string) => T | undefined,
    options: StartOptions = {},
  ): Promise<T> {
    this.show(program, args);
    return this.start(name, [join(root, programs[program]), ...args], ready, options);
  }

  /** Resolves when a person ends the demo. */
  untilInterrupted(): Promise<void> {
    return new Promise((done) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => done());
    });
  }

  /** Ends what is still running: first by a request, then by force. Nothing starts on this stage afterwards. */
  async end(): Promise<void> {
    this.ended = true;
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
    if (this.ended) throw new StageError('it was ended');
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
