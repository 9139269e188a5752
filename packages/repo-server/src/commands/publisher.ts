/** `countersign-server publisher add|revoke|list`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

const actions = () => import('../actions/publisher.ts');

export function addPublisherCommands(program: Command): void {
  const publisher = program.command('publisher').description('who may publish');
  publisher.command('add <name>').description('make an API key; it is printed once').action(later(actions, 'add'));
  publisher.command('revoke <name>').description('end an API key at once').action(later(actions, 'revoke'));
  publisher.command('list').description('who may publish').action(later(actions, 'list'));
}
