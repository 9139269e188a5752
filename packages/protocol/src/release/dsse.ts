/**
 * DSSE envelopes (https://github.com/secure-systems-lab/dsse, protocol v1) for authority chains and approval records. The
 * payload type is bound into what is signed, so an envelope of one kind never passes for another.
 */
import { Buffer } from 'node:buffer';
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import { KeyId } from '../public-key.ts';

const Base64 = (maxLength: number) => Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$', maxLength });

export const Envelope = Type.Object(
  {
    payload: Base64(2 << 20),
    payloadType: Type.String({ maxLength: 120 }),
    signatures: Type.Array(Type.Object({ keyid: KeyId, sig: Base64(2048) }, { additionalProperties: false }), {
      minItems: 1,
      maxItems: 16,
    }),
  },
  { additionalProperties: false },
);
export type Envelope = Static<typeof Envelope>;
export const envelopeFormat = format('DSSE envelope', Envelope, 3 << 20);

/** DSSE's pre-authentication encoding: the bytes that are signed. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload]);
}
