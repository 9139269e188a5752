/**
 * Runs a program's commands by the rules of `terminal.ts`: `--version` and `--json` on every command, usage errors as coded errors,
 * one place where errors become exit codes. A program's `main.ts` builds its commander program and calls `runCommand`.
 */
import { InvalidArgumentError, type Command, type CommanderError } from 'commander';
import manifest from '../../../package.json' with { type: 'json' };
import { codeOf } from '../../error.ts';
import { timeText } from '../../tuf/expiry.ts';
import { escapeText } from '../../unsafe-text.ts';
import { nodeError } from '../node-errors.ts';
import { exitCode, openTerminal, printError, type Terminal, type TerminalOptions } from './terminal.ts';

/** The project's version: all of its packages have the same. */
const { version } = manifest;

/**
 * An action whose module is loaded when its command runs, by its name there. So a command is declared without what it needs to run,
 * and `--help` of all of them stays quick.
 */
export const later =
  <Name extends string>(load: () => Promise<Readonly<Record<Name, (...given: never[]) => unknown>>>, name: Name) =>
  async (...given: unknown[]): Promise<void> => {
    const action = (await load())[name];
    await action(...(given as never[]));
  };

/** The terminal of a running command, silent where the person asked for JSON. */
export const terminalOf = (command: Command): Terminal => openTerminal({ json: wantsJson(command) });

const wantsJson = (command: Command): boolean => command.optsWithGlobals<{ json?: boolean }>().json === true;

/**
 * Parses and runs; resolves to the exit code and also sets it on the process. It is that of the error, else the one that the
 * action set. Never throws. Actions take what they need from the command and throw coded errors.
 */
export async function runCommand(
  program: Command,
  argv: readonly string[] = process.argv.slice(2),
  output: Pick<TerminalOptions, 'stdout' | 'stderr'> = {},
): Promise<number> {
  const said: string[] = [];
  const stdout = output.stdout ?? process.stdout;
  const stderr = output.stderr ?? process.stderr;
  prepare(program, said, (text) => void stdout.write(text));
  const end = argv.indexOf('--');
  const json = argv.slice(0, end === -1 ? argv.length : end).includes('--json');
  let code = 0;
  try {
    await program.parseAsync([...argv], { from: 'user' });
    // A command with a bad outcome set the exit code itself.
    code = Number(process.exitCode ?? 0);
  } catch (error) {
    const failure = isCommanderError(error) ? usageOf(error, program, argv) : error;
    if (failure !== null) {
      code = exitCode(failure);
      if (!json && isCommanderError(error) && error.code === 'commander.help') stderr.write(said.join(''));
      else printError(failure, { ...output, json });
    }
  }
  process.exitCode = code;
  return code;
}

/** Gives every command our way of ending, `--version` and, if it does something, `--json`. */
function prepare(command: Command, said: string[], print: (text: string) => void): void {
  command.exitOverride();
  command.configureOutput({ writeOut: print, writeErr: (text) => void said.push(text) });
  command.version(version, '--version', 'say the version');
  if (command.commands.length === 0 && !command.options.some((option) => option.long === '--json'))
    command.option('--json', 'answer with one JSON object as the last line');
  for (const sub of command.commands) prepare(sub, said, print);
}

const isCommanderError = (error: unknown): error is CommanderError =>
  codeOf(error)?.startsWith('commander.') === true && error instanceof Error;

/** Null where commander only showed help or the version. */
function usageOf(error: CommanderError, program: Command, argv: readonly string[]): Error | null {
  if (error.exitCode === 0) return null;
  if (error.code === 'commander.help') return nodeError('USAGE', `${program.name()} needs a command`);
  const words = argv.filter((word) => !word.startsWith('-')).slice(0, 1);
  const known = program.commands.some((command) => command.name() === words[0]) ? ` ${words[0]!}` : '';
  return nodeError('USAGE', escapeText(error.message.replace(/^error: /, '')), {
    hint: `see ${program.name()}${known} --help`,
  });
}

/** An option's value that is a time, as documents write it. */
export function timeOption(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('not a time');
  return timeText(time);
}
