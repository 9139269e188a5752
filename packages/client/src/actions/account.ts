/** `countersign-device account add|list`. */
import { shortDigest } from '@countersign/protocol';
import type { Command } from 'commander';
import { addAccount, listAccounts, type AccountRole } from '../consent/accounts.ts';
import { readPassword, withDevice } from './session.ts';

interface AddOptions {
  readonly printedName: string;
  readonly role: AccountRole[];
  readonly passwordFile?: string;
}

export const add = (name: string, options: AddOptions, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const password = await readPassword(terminal, options.passwordFile, `New password of ${name}`);
    const added = await addAccount(device, {
      name,
      printedName: options.printedName,
      roles: options.role,
      password,
    });
    terminal.answer({ account: added.name, keyid: added.keyid, roles: added.roles }, () =>
      terminal.print(`account ${added.name} added, key ${shortDigest(added.keyid)}`),
    );
  });

export const list = (_: unknown, command: Command): Promise<void> =>
  withDevice(command, (device, terminal) => {
    const accounts = listAccounts(device);
    terminal.answer(
      {
        accounts: accounts.map(({ name, printedName, roles, keyid, created }) => ({
          name,
          printedName,
          roles,
          keyid,
          created,
        })),
      },
      () =>
        terminal.table(
          ['account', 'name', 'roles', 'since'],
          accounts.map(({ name, printedName, roles, created }) => [name, printedName, roles.join(', '), created]),
        ),
    );
  });
