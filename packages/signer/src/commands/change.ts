/** `countersign change show|sign|export|import|discard|rebase`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { addKeyOptions } from './key-options.ts';

const actions = () => import('../actions/change.ts');

export function addChangeCommands(program: Command): void {
  const change = program.command('change').description('the pending change: what it does, who signs it');
  change
    .command('show')
    .description('what the change does to devices, then who has signed')
    .action(later(actions, 'show'));
  addKeyOptions(change.command('sign').description('sign whatever these keys may sign')).action(later(actions, 'sign'));
  change
    .command('export <file>')
    .description('write the change into a file, for others to review and sign')
    .action(later(actions, 'exportTo'));
  change
    .command('import <file>')
    .description('take over a change, or the signatures that others made')
    .action(later(actions, 'importFrom'));
  change.command('discard').description('drop the pending change').action(later(actions, 'discard'));
  change
    .command('rebase <place>')
    .description('take what is published now (URL or folder) and make the change again on top of it')
    .action(later(actions, 'rebase'));
}
