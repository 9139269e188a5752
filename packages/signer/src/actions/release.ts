/** `countersign release add` and `channel offer|rollout|block|withdraw`. */
import { shortDigest, type Offer } from '@countersign/protocol';
import type { Command } from 'commander';
import { addRelease, changeOffer, nextChannel, offerReleases, writeChannel } from '../change/releases.ts';
import { releaseWords } from '../releases/artifacts.ts';
import { signerError } from '../workspace/errors.ts';
import { given, changeWorkspace } from './session.ts';

/** How a rollout grows. */
export type Stages = Offer['rollout']['stages'];

interface OfferFlags {
  readonly channel: string;
  readonly urgency: Offer['urgency'];
  readonly models?: string[];
  readonly stage?: Stages;
  readonly start?: string;
  readonly downgrade?: true;
  readonly replace?: true;
}

const everybody = [{ hours: 0, percent: 100 }];

export const add = (texts: string[], _: unknown, command: Command): Promise<void> =>
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
  });

export const offer = (texts: string[], flags: OfferFlags, command: Command): Promise<void> =>
  changeWorkspace(command, (workspace, terminal) => {
    const { replace, stage = everybody, ...rest } = flags;
    const options = { ...rest, stages: stage, existing: replace ? 'replace' : 'refuse' } as const;
    const offers = offerReleases(workspace, texts, options, new Date());
    return () =>
      terminal.answer({ channel: flags.channel, offers }, () => {
        for (const { component, version, rollout } of offers)
          terminal.print(`${flags.channel} offers ${component} ${version} from ${rollout.start}`);
      });
  });

export const rollout = (text: string, flags: OfferFlags, command: Command): Promise<void> =>
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
  });

export const withdraw = (text: string, flags: { channel: string }, command: Command): Promise<void> =>
  changeWorkspace(command, (workspace, terminal) => {
    changeOffer(workspace, flags.channel, text, () => null, new Date());
    return () =>
      terminal.answer({ channel: flags.channel, withdrawn: text }, () =>
        terminal.print(`${flags.channel} no longer offers ${text}`),
      );
  });

export const block = (text: string, flags: { channel: string; reason?: string }, command: Command): Promise<void> =>
  changeWorkspace(command, async (workspace, terminal) => {
    const [, component, version] = /^([a-z][a-z0-9-]{0,62})@([^:]+)$/.exec(text) ?? [];
    const current = nextChannel(workspace, flags.channel);
    if (!component || !version || !current)
      throw signerError('OFFER_MISSING', `${text} names no NAME@VERSION, or there is no channel ${flags.channel}`);
    const reason = await given(terminal, flags.reason, '--reason', 'Why is it blocked?');
    const others = current.blocked.filter((one) => one.component !== component || one.version !== version);
    writeChannel(workspace, { ...current, blocked: [...others, { component, version, reason }] }, new Date());
    return () =>
      terminal.answer({ channel: flags.channel, blocked: text, reason }, () => terminal.print(`${text} is blocked`));
  });
