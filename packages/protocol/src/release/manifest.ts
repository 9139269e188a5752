/**
 * `component.json`: what a component is and which capabilities it declares. It is code-signed inside the release statement,
 * so it is known and trusted before any archive is downloaded. Cross-field rules stand in `manifest-rules.ts`.
 */
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import { CapabilityId, ComponentName, Name, Platform, Risk, Scope, Texts, Version, MapOf } from '../text.ts';

const closed = { additionalProperties: false } as const;

export const Capability = Type.Object(
  {
    id: CapabilityId,
    /** Rises when the meaning changes; a change is asked again. */
    contract: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
    risk: Risk,
    /** True: without it the component cannot be installed. */
    required: Type.Boolean(),
    scope: Scope,
    title: Texts(200),
    description: Texts(2000),
  },
  closed,
);
export type Capability = Static<typeof Capability>;

/** argv and its deadline in seconds. argv[0] is a path inside the base, or `${component:NAME}/path`. */
export const Hook = Type.Tuple([
  Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { minItems: 1, maxItems: 32 }),
  Type.Integer({ minimum: 1, maximum: 3600 }),
]);
export type Hook = Static<typeof Hook>;

export const Manifest = Type.Object(
  {
    name: ComponentName,
    version: Version,
    platform: Platform,
    title: Texts(200),
    /** semver ranges over other components. */
    requires: MapOf(ComponentName, Type.String({ minLength: 1, maxLength: 200 }), { maxProperties: 64 }),
    /** Instrument models this release is for; `*` is every model. */
    models: Type.Array(Name, { minItems: 1, maxItems: 100, uniqueItems: true }),
    capabilities: Type.Array(Capability, { maxItems: 64 }),
    hooks: Type.Object({ stop: Type.Optional(Hook), start: Type.Optional(Hook), health: Type.Optional(Hook) }, closed),
    rollback: Type.Union([Type.Literal('safe'), Type.Literal('data-migrating'), Type.Literal('impossible')]),
    terms: Type.Optional(
      Type.Object({ version: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$' }) }, closed),
    ),
  },
  closed,
);
export type Manifest = Static<typeof Manifest>;

export const manifestFormat = format('component manifest', Manifest, 256 * 1024);
