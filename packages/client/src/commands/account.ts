/** `countersign-device account add|list`. */
import { shortDigest } from '@countersign/protocol';
import { Option, type Command } from 'commander';
import { addAccount, listAccounts, type AccountRole } from '../consent/accounts.ts';
import { readPassword, withDevice } from './session.ts';

export function addAccountCommands(program: Command): void {
  const account = program.command('account').description('people who approve on this device');
  account
    .command('add <name>')
    .description('add a person; asks for a password')
    .requiredOption('--printed-name <name>', 'the name that stands in approval records')
    .addOption(
      new Option('--role <role...>', 'what the person may do')
        .choices(['technician', 'administrator'])
        .default(['technician']),
    )
    .option('--password-file <file>', 'read the password from the first line of a file')
    .action(
      async (
        name: string,
        options: { printedName: string; role: AccountRole[]; passwordFile?: string },
        command: Command,
      ) =>
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
        }),
    );
  account
    .command('list')
    .description('who has an account')
    .action((_: unknown, command: Command) =>
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
      }),
    );
}
