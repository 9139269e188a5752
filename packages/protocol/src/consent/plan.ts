/**
 * The plan: exactly what a technician approves. The plan digest is the sha256 of its RFC 8785 bytes. It holds everything of
 * substance, so any change of substance makes another plan. It does not hold a metadata version, time or channel version, so
 * re-signing voids nothing. It is computed in `planner.ts`.
 */
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import {
  closed,
  CapabilityId,
  ComponentName,
  Name,
  Platform,
  Reason,
  Risk,
  Scope,
  Sha256,
  Version,
  MapOf,
} from '../text.ts';

export const planType = 'https://countersign.dev/plan/v1';

/** Why a capability is asked. `requested`: the technician asked for it again. */
export const CapabilityChange = Type.Union([
  Type.Literal('new'),
  Type.Literal('widened'),
  Type.Literal('contract-changed'),
  Type.Literal('risk-raised'),
  Type.Literal('requested'),
]);
export type CapabilityChange = Static<typeof CapabilityChange>;

const capability = {
  capability: CapabilityId,
  contract: Type.Integer({ minimum: 1 }),
  risk: Risk,
  scope: Scope,
} as const;

export const Decision = Type.Object(
  {
    ...capability,
    required: Type.Boolean(),
    change: CapabilityChange,
    /** What was granted until now; absent when nothing was. */
    before: Type.Optional(Type.Object({ contract: capability.contract, risk: Risk, scope: Scope }, closed)),
  },
  closed,
);
export type Decision = Static<typeof Decision>;

const At = Type.Object({ version: Version, platform: Platform, release: Sha256 }, closed);

export const PlanStep = Type.Object(
  {
    component: ComponentName,
    action: Type.Union([
      Type.Literal('install'),
      Type.Literal('update'),
      Type.Literal('downgrade'),
      Type.Literal('regrant'),
      Type.Literal('remove'),
    ]),
    from: Type.Union([At, Type.Null()]),
    to: Type.Union([At, Type.Null()]),
    urgency: Type.Union([Type.Literal('routine'), Type.Literal('security'), Type.Literal('critical')]),
    rollback: Type.Union([Type.Literal('safe'), Type.Literal('data-migrating'), Type.Literal('impossible')]),
    /** Each is decided separately; the default is off. */
    decisions: Type.Array(Decision, { maxItems: 64 }),
    /** Stay granted without a question: unchanged or narrowed. */
    kept: Type.Array(Type.Object(capability, closed), { maxItems: 64 }),
    /** Stay off without a question: declined or revoked before, and not changed since. */
    off: Type.Array(CapabilityId, { maxItems: 64 }),
    /** Cannot be granted here, and who says so. */
    denied: Type.Array(
      Type.Object(
        { capability: CapabilityId, by: Type.Union([Type.Literal('vendor'), Type.Literal('site')]), reason: Reason },
        closed,
      ),
      { maxItems: 64 },
    ),
    /** Closed: they were granted and the release does not declare them any more. */
    closed: Type.Array(CapabilityId, { maxItems: 64 }),
    /**
     * Must be accepted before the component is enabled: digests of the texts by language. Absent: there are none, or they were
     * accepted before.
     */
    terms: Type.Optional(
      Type.Object(
        {
          version: Type.String({ maxLength: 32 }),
          texts: MapOf(Type.String({ maxLength: 40 }), Sha256, { minProperties: 1, maxProperties: 40 }),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type PlanStep = Static<typeof PlanStep>;

export const Plan = Type.Object(
  {
    _type: Type.Literal(planType),
    /** The device whose plan it is, so that an approval cannot be carried to another. */
    device: Sha256,
    model: Name,
    fromGeneration: Type.Integer({ minimum: 0 }),
    /** Sorted by component. */
    steps: Type.Array(PlanStep, { minItems: 1, maxItems: 200 }),
    /** How many accounts must sign when a capability of this risk is granted; `standard` also applies when none is granted. */
    approvers: Type.Object(
      {
        standard: Type.Integer({ minimum: 1, maximum: 2 }),
        high: Type.Integer({ minimum: 1, maximum: 2 }),
        phi: Type.Integer({ minimum: 1, maximum: 2 }),
      },
      closed,
    ),
  },
  closed,
);
export type Plan = Static<typeof Plan>;
export const planFormat = format('plan', Plan, 4 << 20);
