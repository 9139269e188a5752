/** Runs the server's own program in a separate process, over a folder that `makeServerFolder` made. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { ServerFolder } from './publishing.ts';

const bin = join(import.meta.dirname, '../../packages/repo-server/bin/countersign-server.js');

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** Everything that it logged. */
  readonly stderr: string;
}

export interface ServerProgram {
  readonly url: string;
  readonly apiKey: string;
  readonly process: ChildProcess;
  /** Resolves when the process has ended. */
  readonly ended: Promise<Ending>;
}

export interface ProgramOptions {
  /** Modules that are loaded before the program. */
  readonly imports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a command over the folder to its end. */
export function runServerCommand(folder: Pick<ServerFolder, 'directory'>, args: readonly string[]): Promise<Ending> {
  return launch([...args, '--dir', folder.directory, '--json'], {}).ended;
}

/** Resolves when it serves. @throws its output if it ends instead; the caller must end it */
export async function startServerProgram(folder: ServerFolder, options: ProgramOptions = {}): Promise<ServerProgram> {
  const { process: child, ended } = launch(serveArguments(folder), options);
  const url = await Promise.race([
    new Promise<string>((found) => {
      let text = '';
      child.stdout!.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        const serving = /\{"serving":"([^"]+)"\}/.exec(text);
        if (serving) found(serving[1]!);
      });
    }),
    ended.then(({ code, signal, stdout, stderr }): never => {
      throw new Error(`the server ended with ${code ?? signal}: ${stdout}${stderr}`);
    }),
  ]);
  return { url, apiKey: folder.apiKey, process: child, ended };
}

/** The arguments of a server on any free port. */
export const serveArguments = ({ directory, shipped }: ServerFolder): string[] => [
  'serve',
  '--dir',
  directory,
  '--port',
  '0',
  '--json',
  ...Object.entries(shipped).flatMap(([name, file]) => [`--${name}`, file]),
];

function launch(args: readonly string[], { imports = [], environment = {} }: ProgramOptions) {
  const child = spawn(process.execPath, [...imports.flatMap((module) => ['--import', module]), bin, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
    env: { ...process.env, ...environment },
  });
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ending>((done) => {
    child.on('close', (code, signal) => done({ code, signal, stdout, stderr }));
  });
  return { process: child as ChildProcess, ended };
}
