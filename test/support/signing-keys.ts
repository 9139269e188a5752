/** Keys and signatures for tests: ed25519 for TUF and the authority chains, P-256 as a pinned code signer. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { canonicalBytes, keyHint, keyIdOf, keyMaterial, preAuthEncoding, type PublicKey } from '@countersign/protocol';

export interface TestKey {
  readonly id: string;
  readonly key: PublicKey;
  readonly privateKey: KeyObject;
  /** The raw signature. */
  sign(bytes: Uint8Array): Buffer;
}

export function ed25519Key(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('hex');
  const key: PublicKey = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: raw } };
  return { id: keyIdOf(key), key, privateKey, sign: (bytes) => sign(null, bytes, privateKey) };
}

export function p256Key(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: publicKey.export({ type: 'spki', format: 'pem' }) },
  };
  return { id: keyIdOf(key), key, privateKey, sign: (bytes) => sign('sha256', bytes, privateKey) };
}

/** A DSSE envelope over RFC 8785 bytes, signed by each key. */
export function signEnvelope(payloadType: string, payload: Uint8Array, keys: readonly TestKey[]) {
  const signed = preAuthEncoding(payloadType, payload);
  return {
    payload: Buffer.from(payload).toString('base64'),
    payloadType,
    signatures: keys.map((key) => ({ keyid: key.id, sig: key.sign(signed).toString('base64') })),
  };
}

/** One line of an authority chain. */
export const chainLine = (payloadType: string, body: unknown, keys: readonly TestKey[]): string =>
  `${canonicalBytes(signEnvelope(payloadType, canonicalBytes(body), keys)).toString('utf8')}\n`;

/** One Sigstore v0.3 bundle, as a line, by a pinned key. */
export function bundleLine(statement: Uint8Array, key: TestKey, hint = keyHint(keyMaterial(key.key)!)): string {
  const payloadType = 'application/vnd.in-toto+json';
  const sig = key.sign(preAuthEncoding(payloadType, statement)).toString('base64');
  return `${JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint } },
    dsseEnvelope: {
      payload: Buffer.from(statement).toString('base64'),
      payloadType,
      signatures: [{ sig, keyid: hint }],
    },
  })}\n`;
}
