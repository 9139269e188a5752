/** Small schemas and text functions that several formats share. */
import { createHash } from 'node:crypto';
import Type, { type Static, type TSchema, type TString } from 'typebox';

export { escapeText, isSafeText } from './unsafe-text.ts';

/** An option for an object's schema: unknown fields are refused. */
export const closed = { additionalProperties: false } as const;

/** A closed map: a key that does not follow its pattern is refused (`__proto__` never does). */
export const MapOf = <V extends TSchema>(key: TString, value: V, options: Readonly<Record<string, unknown>> = {}) =>
  Type.Record(key, value, { additionalProperties: false, ...options });

/** Hex sha256. */
export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** The first 16 hexadecimal digits of a digest or key id: for people to recognise it, never to decide by. */
export const shortDigest = (digest: string): string => digest.slice(0, 16);

export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
/** RFC 3339, UTC, whole seconds: the only time form in documents. */
export const Time = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' });
export const ComponentName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' });
export const CapabilityId = Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' });
/** Semantic version without build metadata; precedence is `semver`'s. */
export const Version = Type.String({
  pattern: '^(0|[1-9]\\d{0,8})\\.(0|[1-9]\\d{0,8})\\.(0|[1-9]\\d{0,8})(-[0-9A-Za-z-]+(\\.[0-9A-Za-z-]+)*)?$',
  maxLength: 64,
});
export const Platform = Type.Union([Type.Literal('win32-x64'), Type.Literal('linux-x64'), Type.Literal('any')]);
/** A model's or person's name as its owner writes it. */
export const Name = Type.String({ minLength: 1, maxLength: 80, pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]+$' });
export const Reason = Type.String({ minLength: 1, maxLength: 500 });
/** Texts by BCP 47 language: `en` is always there, others fall back to it. */
export const Texts = (maximumLength: number) =>
  Type.Intersect([
    Type.Object({ en: Type.String({ minLength: 1, maxLength: maximumLength }) }),
    MapOf(
      Type.String({ pattern: '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$' }),
      Type.String({ minLength: 1, maxLength: maximumLength }),
    ),
  ]);
export const Risk = Type.Union([Type.Literal('standard'), Type.Literal('high'), Type.Literal('phi')]);
/** What a capability reaches: arrays are sets, other values compare by equality (see `consent/scope.ts`). */
export const Scope = MapOf(
  Type.String({ pattern: '^[a-z][a-zA-Z0-9-]{0,62}$' }),
  Type.Union([
    Type.Array(Type.String({ maxLength: 200 }), { maxItems: 64, uniqueItems: true }),
    Type.String({ maxLength: 200 }),
    Type.Integer({ minimum: -(2 ** 53) + 1, maximum: 2 ** 53 - 1 }),
    Type.Boolean(),
  ]),
  { maxProperties: 32 },
);
export type Scope = Static<typeof Scope>;
