/** `countersign-device account add|list`. */
import { later } from '@countersign/protocol/terminal';
import { Option, type Command } from 'commander';

const actions = () => import('../actions/account.ts');

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
    .action(later(actions, 'add'));
  account.command('list').description('who has an account').action(later(actions, 'list'));
}
