/** Opens what every command begins with: the device of `--dir`, and the person who signs, by prompt or by password file. */
import { readFileSync } from 'node:fs';
import { isCancel, password as askPassword } from '@clack/prompts';
import type { Command } from 'commander';
import { canAsk, terminalOf, type Terminal } from '@countersign/protocol/terminal';
import { signIn, type SignedIn } from '../consent/accounts.ts';
import { closeDevice, openDevice, type Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import type { Asker } from '../service/handlers.ts';
import { closeConnections } from '../trust/refresh.ts';

/** Opens the device for one command and always closes it. */
export async function withDevice<T>(
  command: Command,
  work: (device: Device, terminal: Terminal) => Promise<T> | T,
): Promise<T> {
  const { dir } = command.optsWithGlobals<{ dir: string }>();
  const device = openDevice(dir);
  try {
    return await work(device, terminalOf(command));
  } finally {
    await closeConnections(device);
    closeDevice(device);
  }
}

/** What a command's options say of who signs. */
export interface PersonOptions {
  readonly account?: string | undefined;
  readonly passwordFile?: string | undefined;
}

/** Signs the person in. @throws INPUT_NEEDED where nobody can be asked; ACCOUNT_REFUSED ACCOUNT_LOCKED */
export async function signPersonIn(device: Device, terminal: Terminal, options: PersonOptions): Promise<SignedIn> {
  if (options.account === undefined)
    throw clientError('INPUT_NEEDED', 'who signs is not given', { hint: 'name the account with --account NAME' });
  return signIn(
    device,
    options.account,
    await readPassword(terminal, options.passwordFile, `Password of ${options.account}`),
  );
}

/**
 * Who asks for something that only closes a capability or goes back: anyone who may write to the device folder, or the named
 * account, which then signs in.
 */
export async function askerOf(device: Device, terminal: Terminal, options: PersonOptions): Promise<Asker> {
  if (options.account === undefined) return { by: 'command line' };
  return { by: (await signPersonIn(device, terminal, options)).keyid };
}

/** The password, from the file's first line or by prompt; never from an argument. */
export async function readPassword(terminal: Terminal, file: string | undefined, question: string): Promise<string> {
  if (file !== undefined) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (cause) {
      throw clientError('INPUT_NEEDED', `the password file ${file} cannot be read`, {
        cause,
        hint: 'name a file whose first line is the password',
      });
    }
    return text.split(/\r?\n/, 1)[0]!;
  }
  if (!canAsk(terminal))
    throw clientError('INPUT_NEEDED', 'a password is needed and nobody can be asked', {
      hint: 'give --password-file FILE, or run it on a terminal',
    });
  const answer = await askPassword({ message: question });
  if (isCancel(answer)) throw clientError('CANCELLED', 'the person ended the question');
  return answer;
}
