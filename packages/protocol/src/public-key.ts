/**
 * Reads public keys in TUF's form (specification §4.2) and verifies their signatures: ed25519 (hex or PEM), ecdsa P-256 and
 * P-384, rsassa-pss-sha256/384/512. TUF metadata, authority chains and approval records all use it. Where the crypto library
 * throws, the signature is refused: `verifySignature` never throws.
 */
import { Buffer } from 'node:buffer';
import { constants, createPublicKey, verify, type KeyObject } from 'node:crypto';
import Type, { type Static } from 'typebox';
import { canonicalOlpc } from './olpc-json.ts';
import { sha256 } from './text.ts';

export const PublicKey = Type.Object(
  {
    keytype: Type.String({ maxLength: 40 }),
    scheme: Type.String({ maxLength: 40 }),
    keyval: Type.Object({ public: Type.String({ maxLength: 8192 }) }, { additionalProperties: false }),
  },
  { additionalProperties: false },
);
export type PublicKey = Static<typeof PublicKey>;

export const KeyId = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** TUF's key id: sha256 of the OLPC canonical form of the key. */
export const keyIdOf = (key: PublicKey): string => sha256(canonicalOlpc(key));

interface Usable {
  readonly key: KeyObject;
  readonly digest: string | null;
  readonly pss: boolean;
  material?: string;
}

const usable = new WeakMap<object, Usable | null>();

/** The key in a form that Node can use; null when its type and scheme do not match or the material is unreadable. */
function importKey(key: PublicKey): Usable | null {
  const known = usable.get(key);
  if (known !== undefined) return known;
  let result: Usable | null;
  try {
    result = readKey(key);
  } catch {
    result = null;
  }
  usable.set(key, result);
  return result;
}

function readKey({ keytype, scheme, keyval }: PublicKey): Usable | null {
  if (keytype === 'ed25519' && scheme === 'ed25519') {
    const key = keyval.public.startsWith('-----')
      ? readPem(keyval.public)
      : createPublicKey({
          key: { kty: 'OKP', crv: 'Ed25519', x: hexBytes(keyval.public, 32).toString('base64url') },
          format: 'jwk',
        });
    return key.asymmetricKeyType === 'ed25519' ? { key, digest: null, pss: false } : null;
  }
  const curves: Record<string, [curve: string, digest: string]> = {
    'ecdsa-sha2-nistp256': ['prime256v1', 'sha256'],
    'ecdsa-sha2-nistp384': ['secp384r1', 'sha384'],
  };
  if (keytype === 'ecdsa' || keytype === scheme) {
    const curve = Object.hasOwn(curves, scheme) ? curves[scheme] : undefined;
    if (!curve) return null;
    const key = keyval.public.startsWith('-----') ? readPem(keyval.public) : readPoint(keyval.public, curve[0]);
    const fits = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === curve[0];
    return fits ? { key, digest: curve[1], pss: false } : null;
  }
  const pss = /^rsassa-pss-sha(256|384|512)$/.exec(scheme);
  if (keytype === 'rsa' && pss) {
    const key = readPem(keyval.public);
    if (key.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048) return null;
    return { key, digest: `sha${pss[1]}`, pss: true };
  }
  return null;
}

/** SPKI only: Node would also take a certificate or a private key for a public one. */
function readPem(pem: string): KeyObject {
  if (!pem.startsWith('-----BEGIN PUBLIC KEY-----')) throw new TypeError('not an SPKI public key');
  return createPublicKey(pem);
}

/** Reads an uncompressed curve point in hex, the form of ecdsa keys in early repositories. */
function readPoint(hex: string, curve: string): KeyObject {
  const size = curve === 'prime256v1' ? 32 : 48;
  const point = hexBytes(hex, 1 + 2 * size);
  if (point[0] !== 4) throw new RangeError('not an uncompressed point');
  const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)].map((part) => part.toString('base64url'));
  return createPublicKey({ key: { kty: 'EC', crv: size === 32 ? 'P-256' : 'P-384', x: x!, y: y! }, format: 'jwk' });
}

/** Whether the key made `signature` (hex) over `bytes`. False for anything malformed; never throws. */
export function verifySignature(key: PublicKey, bytes: Uint8Array, signature: string): boolean {
  const imported = importKey(key);
  if (!imported || !/^([0-9a-f]{2})+$/i.test(signature)) return false;
  try {
    const options = imported.pss
      ? { key: imported.key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
      : imported.key;
    return verify(imported.digest, bytes, options, Buffer.from(signature, 'hex'));
  } catch {
    return false;
  }
}

/** sha256 of the key's SPKI: the same for one key under two key ids. Null for an unusable key. */
export function keyMaterial(key: PublicKey): string | null {
  const imported = importKey(key);
  return imported ? (imported.material ??= sha256(imported.key.export({ type: 'spki', format: 'der' }))) : null;
}

function hexBytes(hex: string, length: number): Buffer {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length !== length || hex.length !== 2 * length) throw new RangeError('not the key length');
  return bytes;
}
