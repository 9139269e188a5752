/** `countersign-device path|exec`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

const actions = () => import('../actions/component.ts');

export function addComponentCommands(program: Command): void {
  program.command('path <component>').description('the folder of the running release').action(later(actions, 'path'));
  program
    .command('exec <component> [program...]')
    .description(
      "run a program of the running release with the component's environment: exec NAME -- bin/tool --option",
    )
    .action(later(actions, 'exec'));
}
