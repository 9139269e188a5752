/** What a channel must hold true of itself, beyond its schema, and who is offered what. */
import type { Channel, Offer } from '../channel/channel.ts';
import { releaseError } from './release-errors.ts';

/** @throws CHANNEL_RULES */
export function checkChannel(channel: Channel, name: string): void {
  const wrong = (what: string): Error => releaseError('CHANNEL_RULES', `channel ${name} ${what}`);
  if (channel.channel !== name) throw wrong(`calls itself ${channel.channel}`);
  const offered = new Set<string>();
  for (const { component, version, platform, models, rollout } of channel.offers) {
    const key = `${component} ${version} ${platform}`;
    if (offered.has(key)) throw wrong(`offers ${key} twice`);
    offered.add(key);
    if (models.includes('*') && models.length > 1) throw wrong(`offers ${key} to * beside other models`);
    if (rollout.stages.some(({ percent }, index) => index > 0 && percent < rollout.stages[index - 1]!.percent))
      throw wrong(`rolls ${key} out to fewer devices in a later stage`);
  }
}

/** Whether an offer is meant for the model and platform; rollout is another matter. */
export const offerFits = (offer: Pick<Offer, 'models' | 'platform'>, model: string, platform: string): boolean =>
  (offer.models.includes('*') || offer.models.includes(model)) &&
  (offer.platform === 'any' || offer.platform === platform);

/** Why the version is blocked in the channel; undefined when it is not. */
export const blockedReason = (channel: Channel, component: string, version: string): string | undefined =>
  channel.blocked.find((entry) => entry.component === component && entry.version === version)?.reason;
