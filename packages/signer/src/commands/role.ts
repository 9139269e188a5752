/** `countersign role delegate|keys` and `renew`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

const actions = () => import('../actions/role.ts');

export function addRoleCommands(program: Command): void {
  const role = program.command('role').description('who signs what');
  const add = (name: string, words: string): Command =>
    role
      .command(`${name} <role...>`)
      .description(words)
      .option('--role-key <key...>', 'its keys: NAME, or a .pub.json file')
      .option('--threshold <number>', 'how many of them must sign', '2');
  add('delegate', 'give components their roles: component-NAME').action(later(actions, 'delegateRoles'));
  add('keys', 'give roles other keys').action(later(actions, 'giveKeys'));
  program
    .command('renew <role...>')
    .description('make roles anew with a later expiry, nothing else changed')
    .action(later(actions, 'renew'));
}
