/** `countersign init`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { fixedRoles, usualThresholds } from '../actions/first-roles.ts';
import { addKeyOptions } from './key-options.ts';

export function addInit(program: Command): void {
  const init = program
    .command('init')
    .description('make a workspace and the first change of a repository')
    .option('--online-keys <file>', 'what countersign-server init wrote')
    .option('--codesign <file>', 'draft of the code-signing authority')
    .option('--devices <file>', 'draft of the devices policy')
    .option('--channel <name>', 'the first channel', 'stable');
  for (const role of fixedRoles)
    init
      .option(`--${role} <key...>`, `keys of the role ${role}`)
      .option(`--${role}-threshold <number>`, `how many of them must sign (usual: ${usualThresholds[role]})`);
  addKeyOptions(init).action(later(() => import('../actions/init.ts'), 'init'));
}
