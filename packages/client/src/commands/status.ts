/** `countersign-device status|history`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

const actions = () => import('../actions/status.ts');

export function addStatusCommands(program: Command): void {
  program
    .command('status')
    .description('what runs, what is open, what needs attention')
    .action(later(actions, 'status'));
  program
    .command('history')
    .description('changes and who approved them, newest first')
    .action(later(actions, 'history'));
}
