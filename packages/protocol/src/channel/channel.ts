/**
 * `channels/<channel>.json`: what is on offer, to whom and when, and the rules beyond its schema. Rollout is evaluated in
 * `rollout.ts`.
 */
import Type, { type Static } from 'typebox';
import { releaseError } from '../release/release-errors.ts';
import { format } from '../schema.ts';
import { closed, ComponentName, Name, Platform, Reason, Sha256, Time, Version } from '../text.ts';

export const channelType = 'https://countersign.dev/channel/v1';
const ChannelName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' });

/** Stages follow each other from `start`; within one, eligibility grows linearly to its percent over its hours. */
export const Rollout = Type.Object(
  {
    start: Time,
    stages: Type.Array(
      Type.Object(
        { hours: Type.Integer({ minimum: 0, maximum: 8760 }), percent: Type.Integer({ minimum: 0, maximum: 100 }) },
        closed,
      ),
      { minItems: 1, maxItems: 32 },
    ),
  },
  closed,
);
export type Rollout = Static<typeof Rollout>;

export const Offer = Type.Object(
  {
    component: ComponentName,
    version: Version,
    platform: Platform,
    models: Type.Array(Name, { minItems: 1, maxItems: 100, uniqueItems: true }),
    /** sha256 of the statement. */
    release: Sha256,
    urgency: Type.Union([Type.Literal('routine'), Type.Literal('security'), Type.Literal('critical')]),
    downgrade: Type.Optional(Type.Literal(true)),
    rollout: Rollout,
  },
  closed,
);
export type Offer = Static<typeof Offer>;

export const Channel = Type.Object(
  {
    _type: Type.Literal(channelType),
    channel: ChannelName,
    offers: Type.Array(Offer, { maxItems: 2000 }),
    blocked: Type.Array(Type.Object({ component: ComponentName, version: Version, reason: Reason }, closed), {
      maxItems: 2000,
    }),
  },
  closed,
);
export type Channel = Static<typeof Channel>;
export const channelFormat = format('channel', Channel, 4 << 20);
export const channelPath = (channel: string): string => `channels/${channel}.json`;

/** @throws CHANNEL_RULES */
export function checkChannel(channel: Channel, name: string): void {
  const wrong = (what: string): Error => releaseError('CHANNEL_RULES', `channel ${name} ${what}`);
  if (channel.channel !== name) throw wrong(`calls itself ${channel.channel}`);
  const offered = new Set<string>();
  const named = new Map<string, string>();
  for (const { component, version, platform, models, release, rollout } of channel.offers) {
    const key = `${component} ${version} ${platform}`;
    if (offered.has(key)) throw wrong(`offers ${key} twice`);
    offered.add(key);
    // A statement contains its own name, so offering it under a second name is at least a mistake.
    const other = named.get(release);
    if (other !== undefined) throw wrong(`offers the same release as ${other} and as ${key}`);
    named.set(release, key);
    if (models.includes('*') && models.length > 1) throw wrong(`offers ${key} to * beside other models`);
    if (rollout.stages.some(({ percent }, index) => index > 0 && percent < rollout.stages[index - 1]!.percent))
      throw wrong(`rolls ${key} out to fewer devices in a later stage`);
  }
}

/** Whether an offer is meant for the model and platform. Rollout is not considered here. */
export const offerFits = (offer: Pick<Offer, 'models' | 'platform'>, model: string, platform: string): boolean =>
  (offer.models.includes('*') || offer.models.includes(model)) &&
  (offer.platform === 'any' || offer.platform === platform);

/** Why the version is blocked in the channel; undefined when it is not. */
export const blockedReason = (channel: Channel, component: string, version: string): string | undefined =>
  channel.blocked.find((entry) => entry.component === component && entry.version === version)?.reason;
