/** `countersign release add` and `channel offer|rollout|block|withdraw`. */
import { shortDigest, timeText, type Offer } from '@countersign/protocol';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { addRelease, changeOffer, nextChannel, offerReleases, writeChannel } from '../change/releases.ts';
import { releaseWords } from '../releases/artifacts.ts';
import { signerError } from '../workspace/errors.ts';
import { given, changeWorkspace } from './session.ts';

interface OfferFlags {
  readonly channel: string;
  readonly urgency: Offer['urgency'];
  readonly models?: string[];
  readonly stage?: Offer['rollout']['stages'];
  readonly start?: string;
  readonly downgrade?: true;
  readonly replace?: true;
}

export function addReleaseCommands(program: Command): void {
  program
    .command('release')
    .description('releases in their component roles')
    .command('add <release...>')
    .description('put packed and signed releases (NAME@VERSION) into their component roles')
    .action((texts: string[], _: unknown, command: Command) =>
      changeWorkspace(command, async (workspace, terminal) => {
        const added: { component: string; version: string; platform: string; release: string }[] = [];
        for (const text of texts) {
          const bar = terminal.progress(`checking ${text}`, 1);
          const artifact = await addRelease(workspace, text, new Date(), (done, total) => bar.update(done / total));
          bar.end();
          added.push({ ...artifact.name, release: artifact.release });
        }
        return () =>
          terminal.answer({ added }, () => {
            for (const { release, ...name } of added)
              terminal.print(`added ${releaseWords(name)}, release ${shortDigest(release)}`);
            terminal.note('next: countersign channel offer, then countersign change sign');
          });
      }),
    );
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
      .option('--start <time>', 'when it begins (usual: now)', timeOf);
  withStages(withChannel(channel.command('offer <release...>').description('offer releases that were added')))
    .addOption(
      new Option('--urgency <urgency>', 'why it matters')
        .choices(['routine', 'security', 'critical'])
        .default('routine'),
    )
    .option('--models <model...>', 'only these instrument models (usual: those of the manifest)')
    .option('--downgrade', 'devices may go back to it from a newer version')
    .option('--replace', 'replace the offer of the same version')
    .action((texts: string[], flags: OfferFlags, command: Command) =>
      changeWorkspace(command, (workspace, terminal) => {
        const { replace, stage = everybody, ...rest } = flags;
        const options = { ...rest, stages: stage, existing: replace ? 'replace' : 'refuse' } as const;
        const offers = offerReleases(workspace, texts, options, new Date());
        return () =>
          terminal.answer({ channel: flags.channel, offers }, () => {
            for (const { component, version, rollout } of offers)
              terminal.print(`${flags.channel} offers ${component} ${version} from ${rollout.start}`);
          });
      }),
    );
  withStages(withChannel(channel.command('rollout <release>').description('change how an offer is rolled out'))).action(
    (text: string, flags: OfferFlags, command: Command) =>
      changeWorkspace(command, (workspace, terminal) => {
        const change = (offer: Offer): Offer => ({
          ...offer,
          rollout: { start: flags.start ?? offer.rollout.start, stages: flags.stage ?? offer.rollout.stages },
        });
        changeOffer(workspace, flags.channel, text, change, new Date());
        return () =>
          terminal.answer({ channel: flags.channel, releaseName: text }, () =>
            terminal.print(`rollout of ${text} changed`),
          );
      }),
  );
  withChannel(channel.command('withdraw <release>').description('no longer offer a release')).action(
    (text: string, flags: { channel: string }, command: Command) =>
      changeWorkspace(command, (workspace, terminal) => {
        changeOffer(workspace, flags.channel, text, () => null, new Date());
        return () =>
          terminal.answer({ channel: flags.channel, withdrawn: text }, () =>
            terminal.print(`${flags.channel} no longer offers ${text}`),
          );
      }),
  );
  withChannel(channel.command('block <version>').description('stop new installs of NAME@VERSION'))
    .option('--reason <text>', 'why, for the technicians')
    .action((text: string, flags: { channel: string; reason?: string }, command: Command) =>
      changeWorkspace(command, async (workspace, terminal) => {
        const [, component, version] = /^([a-z][a-z0-9-]{0,62})@([^:]+)$/.exec(text) ?? [];
        const current = nextChannel(workspace, flags.channel);
        if (!component || !version || !current)
          throw signerError('OFFER_MISSING', `${text} names no NAME@VERSION, or there is no channel ${flags.channel}`);
        const reason = await given(terminal, flags.reason, '--reason', 'Why is it blocked?');
        const others = current.blocked.filter((one) => one.component !== component || one.version !== version);
        writeChannel(workspace, { ...current, blocked: [...others, { component, version, reason }] }, new Date());
        return () =>
          terminal.answer({ channel: flags.channel, blocked: text, reason }, () =>
            terminal.print(`${text} is blocked`),
          );
      }),
    );
}

const everybody = [{ hours: 0, percent: 100 }];

function stageOf(text: string, before: Offer['rollout']['stages'] = []): Offer['rollout']['stages'] {
  const [, hours, percent] = /^(\d{1,4}):(\d{1,3})$/.exec(text) ?? [];
  if (!hours || !percent || Number(percent) > 100) throw new InvalidArgumentError('HOURS:PERCENT is expected');
  return [...before, { hours: Number(hours), percent: Number(percent) }];
}

function timeOf(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('not a time');
  return timeText(time);
}
