/**
 * Gets passphrases for a command: from files, tried in order, then by asking if there is a terminal. One that opened a key is
 * tried first on the next, since each try costs a second. Must never put a passphrase into a message, a log or an argument.
 */
import { readIfPresent } from '@countersign/protocol/node';
import { canAsk, terminalOf } from '@countersign/protocol/terminal';
import { isCancel, password, type PasswordOptions } from '@clack/prompts';
import type { Command } from 'commander';
import { escapeText } from '@countersign/protocol';
import { keyError } from './key-errors.ts';

const maximumFile = 4096;
const tries = 3;

/** Asks a person; null where nobody can be asked. */
export type AskSecret = ((question: string) => Promise<string>) | null;

export interface Passphrases {
  /**
   * Tries passphrases until `open` gives a value. `what` names the key to the person.
   * @throws KEY_PASSPHRASE_NEEDED KEY_PASSPHRASE_WRONG KEY_CANCELLED, and what `open` throws
   */
  unlock<T>(what: string, open: (passphrase: string) => Promise<T | null>): Promise<T>;
}

/** A source over files (read when first needed) and, after them, a person. */
export function passphrasesFrom(files: readonly string[], ask: AskSecret): Passphrases {
  const known: string[] = [];
  let read = false;
  return {
    async unlock(what, open) {
      if (!read) for (const file of files) known.push(readPassphraseFile(file));
      read = true;
      for (const passphrase of [...known]) {
        const opened = await open(passphrase);
        if (opened === null) continue;
        remember(known, passphrase);
        return opened;
      }
      const shown = escapeText(what, 200);
      if (ask === null)
        throw known.length === 0
          ? keyError('KEY_PASSPHRASE_NEEDED', `the passphrase of ${shown} is needed and nobody can be asked`)
          : keyError('KEY_PASSPHRASE_WRONG', `${shown} is opened by none of the ${known.length} passphrase files`);
      for (let left = tries; left > 0; left--) {
        const passphrase = await ask(left === tries ? `Passphrase of ${shown}` : `Wrong. Passphrase of ${shown}`);
        const opened = await open(passphrase);
        if (opened === null) continue;
        remember(known, passphrase);
        return opened;
      }
      throw keyError('KEY_PASSPHRASE_WRONG', `${shown} is opened by none of the passphrases that were typed`);
    },
  };
}

/** Moves the passphrase to the front. */
function remember(known: string[], passphrase: string): void {
  const rest = known.filter((other) => other !== passphrase);
  known.splice(0, known.length, passphrase, ...rest);
}

/** The first line of the file. @throws KEY_PASSPHRASE_NEEDED */
export function readPassphraseFile(file: string): string {
  const wrong = (what: string, cause?: unknown): Error =>
    keyError('KEY_PASSPHRASE_NEEDED', `the passphrase file ${escapeText(file, 300)} ${what}`, { cause });
  let bytes: Buffer | undefined;
  try {
    bytes = readIfPresent(file, maximumFile);
  } catch (cause) {
    throw wrong(`cannot be read, or is larger than ${maximumFile} bytes`, cause);
  }
  if (!bytes) throw wrong('is not there');
  const line = bytes.toString('utf8').split(/\r?\n/, 1)[0]!;
  if (line === '') throw wrong('has an empty first line');
  return line;
}

/** Asks for a secret without showing it; on the process's terminal by default. @throws KEY_CANCELLED */
export async function askSecret(
  question: string,
  terminal: Pick<PasswordOptions, 'input' | 'output'> = {},
): Promise<string> {
  const answer = await password({ message: question, ...terminal });
  if (isCancel(answer)) throw keyError('KEY_CANCELLED', 'the person ended the question');
  return answer ?? '';
}

/** The passphrase of a new key, asked twice. @throws KEY_PASSPHRASE_NEEDED KEY_PASSPHRASE_WRONG KEY_CANCELLED */
export async function askNewPassphrase(what: string, ask: AskSecret): Promise<string> {
  if (ask === null)
    throw keyError('KEY_PASSPHRASE_NEEDED', `a passphrase for ${what} is needed and nobody can be asked`);
  const passphrase = await ask(`Passphrase for ${what}`);
  if ((await ask('The same again')) !== passphrase)
    throw keyError('KEY_PASSPHRASE_WRONG', 'the two passphrases differ', { hint: 'run it again; nothing was written' });
  return passphrase;
}

/** What a command's `--key` and `--passphrase-file` gave. */
export interface KeyOptions {
  readonly key?: string[];
  readonly passphraseFile?: string[];
}

/** The command's passphrases: `--passphrase-file`, then the person if there is a terminal. */
export const passphrasesOf = (command: Command, options: Pick<KeyOptions, 'passphraseFile'>): Passphrases =>
  passphrasesFrom(options.passphraseFile ?? [], canAsk(terminalOf(command)) ? askSecret : null);
