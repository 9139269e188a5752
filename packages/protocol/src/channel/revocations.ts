/** `revocations/revocations.json`: what is no longer believed. Its rules stand in `revocation-rules.ts`. */
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import { ComponentName, Reason, Sha256, Time, Version, MapOf } from '../text.ts';

const closed = { additionalProperties: false } as const;
/** Applies to signatures with a verified time at or after it; a signature without one is always hit. Absent: always. */
const effective = Type.Optional(Time);

export const revocationsType = 'https://countersign.dev/revocations/v1';

export const Revocations = Type.Object(
  {
    _type: Type.Literal(revocationsType),
    certificates: Type.Array(
      Type.Object({ /** of its tbsCertificate: what the CA signed */ tbs: Sha256, effective, reason: Reason }, closed),
      { maxItems: 10_000 },
    ),
    keys: Type.Array(Type.Object({ /** sha256 of the SPKI */ spki: Sha256, effective, reason: Reason }, closed), {
      maxItems: 10_000,
    }),
    /** sha256 of the statement. */
    releases: Type.Array(Type.Object({ release: Sha256, reason: Reason }, closed), { maxItems: 10_000 }),
    /** Nothing below is installed, not even by manual rollback. */
    minimum: MapOf(ComponentName, Version, { maxProperties: 1000 }),
  },
  closed,
);
export type Revocations = Static<typeof Revocations>;
export const revocationsFormat = format('revocations', Revocations, 4 << 20);
export const revocationsPath = 'revocations/revocations.json';
