/** `countersign-device run|install|rollback`. */
import { later } from '@countersign/protocol/terminal';
import { InvalidArgumentError, type Command } from 'commander';
import { addPersonOptions } from './person-options.ts';

const actions = () => import('../actions/run.ts');

export function addRunCommands(program: Command): void {
  program
    .command('run')
    .description('be the service: poll, answer commands, carry out what was approved')
    .option('--poll-seconds <number>', 'seconds between polls', secondsOf, 300)
    .action(later(actions, 'run'));
  program.command('install [plan]').description('carry out the approved plan now').action(later(actions, 'install'));
  addPersonOptions(program.command('rollback').description('go back to the generation before')).action(
    later(actions, 'rollback'),
  );
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0.2 && seconds <= 86_400)) throw new InvalidArgumentError('between 0.2 and 86400');
  return seconds;
}
