/** `channels/<channel>.json`: what is on offer, to whom and when. Evaluated in `rollout.ts`. */
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import { ComponentName, Name, Platform, Reason, Sha256, Time, Version } from '../text.ts';

const closed = { additionalProperties: false } as const;

export const channelType = 'https://countersign.dev/channel/v1';
export const ChannelName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' });

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
