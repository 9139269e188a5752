/** `countersign release add` and `channel offer|rollout|block|withdraw`. */
import { later, timeOption } from '@countersign/protocol/terminal';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Stages } from '../actions/release.ts';

const actions = () => import('../actions/release.ts');

export function addReleaseCommands(program: Command): void {
  program
    .command('release')
    .description('releases in their component roles')
    .command('add <release...>')
    .description('put packed and signed releases (NAME@VERSION) into their component roles')
    .action(later(actions, 'add'));
  addChannelCommands(program.command('channel').description('what is on offer to whom'));
}

function addChannelCommands(channel: Command): void {
  const withChannel = (command: Command): Command => command.option('--channel <name>', 'the channel', 'stable');
  const withStages = (command: Command): Command =>
    command
      .option(
        '--stage <hours:percent...>',
        'how the rollout grows, such as 24:10 48:100 (usual: everybody at once)',
        stageOf,
      )
      .option('--start <time>', 'when it begins (usual: now)', timeOption);
  withStages(withChannel(channel.command('offer <release...>').description('offer releases that were added')))
    .addOption(
      new Option('--urgency <urgency>', 'why it matters')
        .choices(['routine', 'security', 'critical'])
        .default('routine'),
    )
    .option('--models <model...>', 'only these instrument models (usual: those of the manifest)')
    .option('--downgrade', 'devices may go back to it from a newer version')
    .option('--replace', 'replace the offer of the same version')
    .action(later(actions, 'offer'));
  withStages(withChannel(channel.command('rollout <release>').description('change how an offer is rolled out'))).action(
    later(actions, 'rollout'),
  );
  withChannel(channel.command('withdraw <release>').description('no longer offer a release')).action(
    later(actions, 'withdraw'),
  );
  withChannel(channel.command('block <version>').description('stop new installs of NAME@VERSION'))
    .option('--reason <text>', 'why, for the technicians')
    .action(later(actions, 'block'));
}

function stageOf(text: string, before: Stages = []): Stages {
  const [, hours, percent] = /^(\d{1,4}):(\d{1,3})$/.exec(text) ?? [];
  if (!hours || !percent || Number(percent) > 100) throw new InvalidArgumentError('HOURS:PERCENT is expected');
  return [...before, { hours: Number(hours), percent: Number(percent) }];
}
