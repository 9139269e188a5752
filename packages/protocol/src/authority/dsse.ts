/**
 * DSSE envelopes (https://github.com/secure-systems-lab/dsse, protocol v1) for authority chains and approval records. The payload
 * type is part of the signed bytes, so an envelope of one kind never passes for another.
 */
import { Buffer } from 'node:buffer';
import Type, { type Static } from 'typebox';
import { formatError } from '../format-errors.ts';
import { KeyId, keyMaterial, verifySignature, type PublicKey } from '../public-key.ts';
import { format } from '../schema.ts';

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

/** A key that can sign: TUF's key id, and raw signing of bytes (ECDSA as DER). */
export interface EnvelopeSigner {
  readonly keyid: string;
  sign(bytes: Uint8Array): Promise<Uint8Array> | Uint8Array;
}

/** Reads an envelope. Base64 must be in the form that encoding its bytes gives, so one envelope has one form. @throws FORMAT_* */
export function readEnvelope(bytes: Uint8Array, what: string): Envelope {
  const envelope = envelopeFormat.parse(bytes, what);
  for (const text of [envelope.payload, ...envelope.signatures.map(({ sig }) => sig)])
    if (Buffer.from(text, 'base64').toString('base64') !== text)
      throw formatError('FORMAT_NOT_CANONICAL', `${what} has base64 that is not in its one form`);
  return envelope;
}

export const payloadOf = (envelope: Envelope): Buffer => Buffer.from(envelope.payload, 'base64');

/** The bytes that the signatures of an envelope cover. */
export const signedByEnvelope = (envelope: Envelope): Buffer =>
  preAuthEncoding(envelope.payloadType, payloadOf(envelope));

/** A new envelope, or the given one with more signatures. A key that had already signed signs again in its place. */
export async function signEnvelope(
  payloadType: string,
  payload: Uint8Array,
  signers: readonly EnvelopeSigner[],
  before: Envelope['signatures'] = [],
): Promise<Envelope> {
  const bytes = preAuthEncoding(payloadType, payload);
  const signatures = new Map(before.map(({ keyid, sig }) => [keyid, sig]));
  for (const signer of signers) signatures.set(signer.keyid, Buffer.from(await signer.sign(bytes)).toString('base64'));
  return {
    payload: Buffer.from(payload).toString('base64'),
    payloadType,
    signatures: [...signatures].map(([keyid, sig]) => ({ keyid, sig })),
  };
}

/**
 * The key ids among `keys` with a valid signature, each key material once. Signatures of other keys are ignored, invalid ones do
 * not count. Never throws.
 */
export function verifiedSigners(envelope: Envelope, keys: Readonly<Record<string, PublicKey>>): string[] {
  const bytes = signedByEnvelope(envelope);
  const materials = new Set<string>();
  const good: string[] = [];
  for (const { keyid, sig } of envelope.signatures) {
    if (!Object.hasOwn(keys, keyid)) continue;
    const key = keys[keyid]!;
    const material = keyMaterial(key);
    // equivalent: no signature holds for a key that cannot be read
    if (material === null) continue;
    if (materials.has(material)) continue;
    if (!verifySignature(key, bytes, Buffer.from(sig, 'base64').toString('hex'))) continue;
    materials.add(material);
    good.push(keyid);
  }
  return good;
}
