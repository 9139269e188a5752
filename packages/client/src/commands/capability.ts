/** `countersign-device capability list|request|revoke`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { addPersonOptions } from './person-options.ts';

const actions = () => import('../actions/capability.ts');

export function addCapabilityCommands(program: Command): void {
  const capability = program.command('capability').description('what components may do here');
  capability
    .command('list')
    .description('every capability of what runs, and how it stands')
    .action(later(actions, 'list'));
  capability
    .command('request <component> <capability>')
    .description('plan to turn on what is off; somebody then approves it')
    .action(later(actions, 'request'));
  addPersonOptions(
    capability
      .command('revoke <component> <capability>')
      .description('take it back: closed at once, its files go with the next change'),
  ).action(later(actions, 'revoke'));
}
