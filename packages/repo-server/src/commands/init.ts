/** `countersign-server init`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

export function addInit(program: Command): void {
  program
    .command('init')
    .description('make the online keys; their public halves go into root')
    .option('--online-keys <file>', 'where to write the public halves', 'online-keys.json')
    .action(later(() => import('../actions/init.ts'), 'init'));
}
