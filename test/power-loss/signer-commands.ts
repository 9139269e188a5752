/**
 * What a power cut may hit at the vendor: commands of the real `countersign` on one person's desk, a folder that holds the workspace.
 * They stand in an order in which each goes on where the ones before it left off, from the first keys to the first publication.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deserialize } from 'node:v8';
import { commandOutput } from '../support/command-output.ts';
import type { ReleaseTeam } from '../support/release-team.ts';
import { SignerProgram } from '../support/signer-program.ts';
import type { Call } from './disk-model.ts';
import { rebase } from './recording.ts';

export interface SignerCommand {
  readonly name: string;
  /** Whose desk it is; `new` has nothing on it yet. */
  readonly desk: 'alice' | 'new';
  /** Done before, by commands that no power cut hits. */
  arrange?(team: ReleaseTeam): Promise<unknown>;
  /** A server runs meanwhile. */
  readonly served?: true;
  words(team: ReleaseTeam, desk: string): readonly string[];
  /** It is run again on whatever the cut left: then it succeeds, or is refused with one of these codes because it was done. */
  readonly again?: readonly string[];
}

const version = '1.0.0';
const release = `app@${version}`;

/** A component folder of its own; each capability has a file, and thus an archive. */
function componentOf(team: ReleaseTeam, name: string, capabilities: readonly string[]): string {
  const folder = team.path(name);
  cpSync(team.writeComponent(version, 64, capabilities), folder, { recursive: true });
  for (const capability of capabilities) {
    mkdirSync(join(folder, 'capabilities', capability), { recursive: true });
    writeFileSync(join(folder, 'capabilities', capability, 'file.txt'), capability);
  }
  return folder;
}

export const signerCommands: readonly SignerCommand[] = [
  {
    name: 'key generate',
    desk: 'new',
    words: ({ secret }) => ['key', 'generate', 'one', 'two', ...secret, '--insecure-fast-scrypt-for-demo'],
  },
  { name: 'init', desk: 'alice', words: (team) => team.initWords, again: ['WORKSPACE_EXISTS'] },
  {
    name: 'change sign',
    desk: 'alice',
    arrange: (team) => team.alice.quick(...team.delegateWords),
    words: (team) => team.bothSign,
    again: ['CHANGE_SIGNED'],
  },
  {
    name: 'pack',
    desk: 'alice',
    words: (team) => ['pack', componentOf(team, 'first', ['view'])],
    again: [],
  },
  {
    name: 'pack --replace',
    desk: 'alice',
    words: (team) => ['pack', componentOf(team, 'second', []), '--replace'],
    again: [],
  },
  {
    name: 'pack what lost a file',
    desk: 'alice',
    arrange: async (team) => rmSync(join(team.alice.workspace, 'artifacts', 'app', version, 'any.base.tar.zst')),
    words: (team) => ['pack', team.path('second')],
    again: [],
  },
  {
    name: 'sign',
    desk: 'alice',
    words: (team) => ['sign', release, '--key', 'code', ...team.secret],
    again: [],
  },
  { name: 'release add', desk: 'alice', words: () => ['release', 'add', release], again: ['RELEASE_LISTED'] },
  {
    name: 'authority devices',
    desk: 'alice',
    words: (team) => ['authority', 'devices', '--file', team.path('devices.json')],
  },
  {
    name: 'change export',
    desk: 'alice',
    words: (_, desk) => ['change', 'export', join(desk, 'change.json')],
    again: [],
  },
  {
    name: 'change import',
    desk: 'new',
    arrange: (team) => team.alice.quick('change', 'export', team.path('change.json')),
    words: (team) => ['change', 'import', team.path('change.json')],
    again: ['CHANGE_SAME'],
  },
  {
    name: 'publish',
    desk: 'alice',
    arrange: async (team) => {
      await team.alice.quick('channel', 'offer', release);
      await team.alice.quick(...team.bothSign);
    },
    served: true,
    words: (team) => team.publish,
  },
  {
    name: 'change import by a newcomer',
    desk: 'new',
    arrange: async (team) => {
      await team.alice.quick('renew', 'channels');
      await team.alice.quick('change', 'export', team.path('later.json'));
    },
    words: (team) => ['change', 'import', team.path('later.json')],
  },
  {
    name: 'change discard',
    desk: 'alice',
    words: () => ['change', 'discard'],
    again: ['CHANGE_EMPTY'],
  },
];

export interface CommandRecording extends SignerCommand {
  /** The desk before the command. */
  readonly start: string;
  /** A desk on which it ran to its end. */
  readonly whole: string;
  readonly calls: readonly Call[];
  /** Runs it again on another desk, inside this process; what it was refused with. */
  readonly runAgain: (desk: string) => Promise<string | null>;
}

const preload = pathToFileURL(join(import.meta.dirname, '../support/fault-preload.mjs')).href;
const keepCalls = `
  import { writeFileSync } from 'node:fs';
  import { serialize } from 'node:v8';
  faults.arm();
  process.on('exit', () => {
    faults.disarm();
    writeFileSync(process.env.FAULT_RECORD, serialize(faults.take()));
  });`;
const recorder = `data:text/javascript,${encodeURIComponent(keepCalls)}`;
const workspaceOn = (desk: string): string => join(desk, 'workspace');

/** Runs the command on a copy of the desk; what it did, as if it had been done on the desk itself. The team goes on from there. */
export async function recordCommand(
  folder: string,
  team: ReleaseTeam,
  command: SignerCommand,
): Promise<CommandRecording> {
  await command.arrange?.(team);
  const start = join(folder, command.name.replaceAll(' ', '-'));
  mkdirSync(start);
  if (command.desk === 'alice') cpSync(team.alice.workspace, workspaceOn(start), { recursive: true });
  const whole = `${start}-whole`;
  cpSync(start, whole, { recursive: true });
  const server = command.served && (await team.serveHere());
  const words = command.words(team, whole);
  const record = `${start}.calls`;
  const { code, stdout, stderr } = await new SignerProgram(workspaceOn(whole)).start([...words, '--json'], {
    imports: [preload, recorder],
    environment: { FAULT_ROOT: whole, FAULT_MODE: 'record', FAULT_RECORD: record },
  }).ended;
  await server?.close();
  assert.equal(code, 0, `${command.name}: ${stdout}${stderr}`);
  const calls = (deserialize(readFileSync(record)) as Call[])
    // Its lock is a database, and holds nothing.
    .filter(({ op }) => op !== 'sql')
    .map((call) => rebase(call, whole, start));
  if (command.desk === 'alice') {
    rmSync(team.alice.workspace, { recursive: true });
    cpSync(workspaceOn(whole), team.alice.workspace, { recursive: true });
  }
  const runAgain = async (desk: string): Promise<string | null> => {
    const again = words.map((word) => word.replace(whole, desk));
    const output = await commandOutput(['--workspace', workspaceOn(desk), ...again, '--json']);
    return output.json<{ error?: { code: string } }>().error?.code ?? null;
  };
  return { ...command, start, whole, calls, runAgain };
}
