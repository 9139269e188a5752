/**
 * Runs the real `countersign` on one person's workspace; can also run the same commands inside the test's process, which is quicker.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { sha256 } from '@countersign/protocol';
import { Workspace } from '../../packages/signer/src/workspace/workspace.ts';
import { commandOutput } from './command-output.ts';

const program = resolve(import.meta.dirname, '../../packages/signer/bin/countersign.js');

export interface Answer {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The JSON object on the last line of stdout, if there is one. */
  readonly json: Record<string, unknown> & { error?: { code: string; message: string; hint: string } };
}

export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Answer>;
}

export interface StartOptions {
  /** Modules that are loaded before the program. */
  readonly imports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export class SignerProgram {
  readonly workspace: string;
  /** All output of its commands so far, for tests that search it for secrets. */
  readonly said: string[] = [];

  constructor(workspace: string) {
    this.workspace = workspace;
  }

  /** One command to its end, with `--json`. */
  run(...args: string[]): Promise<Answer> {
    return this.start([...args, '--json']).ended;
  }

  /** As `run`; exits 0. */
  async ok<T = Answer['json']>(...args: string[]): Promise<T> {
    const answer = await this.run(...args);
    assert.equal(answer.code, 0, `${args.join(' ')}\n${answer.stdout}${answer.stderr}`);
    return answer.json as T;
  }

  /** As `run`; refused with that code, exit code 1 and a hint. */
  async refused(code: string, ...args: string[]): Promise<{ code: string; message: string; hint: string }> {
    const answer = await this.run(...args);
    assert.equal(answer.json.error?.code, code, `${args.join(' ')}\n${answer.stdout}${answer.stderr}`);
    assert.equal(answer.code, 1);
    assert.ok(answer.json.error.hint.length > 10, answer.json.error.hint);
    return answer.json.error;
  }

  /** The output for a person who does not ask for JSON. */
  async words(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.start(args).ended;
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  }

  start(args: readonly string[], { imports = [], environment = {} }: StartOptions = {}): Started {
    const before = imports.flatMap((module) => ['--import', module]);
    const child = spawn(process.execPath, [...before, program, ...args, '--workspace', this.workspace], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ended = new Promise<Answer>((done, failed) => {
      child.on('error', failed);
      child.on('close', (code, signal) => {
        const last = stdout.trimEnd().split('\n').at(-1) ?? '';
        const json = last.startsWith('{') ? (JSON.parse(last) as Answer['json']) : {};
        this.said.push(stdout, stderr);
        done({ code, signal, stdout, stderr, json });
      });
    });
    return { process: child, ended };
  }

  /** The command inside this process; exits 0. One at a time. */
  async quick<T = Answer['json']>(...args: string[]): Promise<T> {
    const { code, json, text } = await this.#inside(args);
    assert.equal(code, 0, text);
    return json as T;
  }

  /** The command inside this process; refused with that code. */
  async quickRefused(code: string, ...args: string[]): Promise<{ code: string; message: string; hint: string }> {
    const { code: exit, json, text } = await this.#inside(args);
    assert.equal(json.error?.code, code, text);
    assert.equal(exit, 1);
    return json.error;
  }

  /** The command inside this process, as a person runs it; its exit code. */
  async quickWords(...args: string[]): Promise<number> {
    const { code, out, err } = await commandOutput(['--workspace', this.workspace, ...args]);
    this.said.push(out, err);
    return code;
  }

  async #inside(args: readonly string[]): Promise<{ code: number; json: Answer['json']; text: string }> {
    const output = await commandOutput(['--workspace', this.workspace, ...args, '--json']);
    this.said.push(output.out, output.err);
    return { code: output.code, json: output.json(), text: `${args.join(' ')}\n${output.out}${output.err}` };
  }
}

/** Every file of a workspace that counts, with its digest; leaves out the lock and old states. */
export function filesIn(workspace: string): Record<string, string> {
  const state = join('state', String(new Workspace(workspace).state));
  return Object.fromEntries(
    readdirSync(workspace, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name !== 'lock.db')
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort()
      .map((file) => [file.slice(workspace.length + 1), sha256(readFileSync(file))] as const)
      .filter(([file]) => !file.startsWith('state') || file.startsWith(join(state, '/'))),
  );
}
