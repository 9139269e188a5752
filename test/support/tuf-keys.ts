/** Keys for test repositories: every kind that the protocol accepts, in TUF's form, with its signing function. */
import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { keyIdOf, type PublicKey } from '@countersign/protocol';

export type KeyKind =
  'ed25519' | 'ed25519-pem' | 'ecdsa' | 'ecdsa-sha2-nistp256' | 'ecdsa-hex' | 'ecdsa-p384' | 'rsa' | 'rsa-sha512';

export interface TestKey {
  readonly keyid: string;
  readonly public: PublicKey;
  readonly privateKey: KeyObject;
  sign(bytes: Uint8Array): string;
}

export function makeKey(kind: KeyKind = 'ed25519'): TestKey {
  if (kind.startsWith('ed25519')) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('hex');
    return key(
      { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: kind === 'ed25519' ? raw : pem(publicKey) } },
      privateKey,
      null,
    );
  }
  if (kind.startsWith('ecdsa')) {
    const large = kind === 'ecdsa-p384';
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: large ? 'P-384' : 'P-256' });
    const scheme = large ? 'ecdsa-sha2-nistp384' : 'ecdsa-sha2-nistp256';
    const { x, y } = publicKey.export({ format: 'jwk' });
    const point = Buffer.concat([Buffer.from([4]), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')]);
    return key(
      {
        keytype: kind === 'ecdsa-sha2-nistp256' ? kind : 'ecdsa',
        scheme,
        keyval: { public: kind === 'ecdsa-hex' ? point.toString('hex') : pem(publicKey) },
      },
      privateKey,
      large ? 'sha384' : 'sha256',
    );
  }
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const digest = kind === 'rsa' ? 'sha256' : 'sha512';
  return key(
    { keytype: 'rsa', scheme: `rsassa-pss-${digest}`, keyval: { public: pem(publicKey) } },
    privateKey,
    digest,
  );
}

const pem = (publicKey: KeyObject): string => publicKey.export({ type: 'spki', format: 'pem' }).toString();

function key(publicForm: PublicKey, privateKey: KeyObject, digest: string | null): TestKey {
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const options = publicForm.keytype === 'rsa' ? { key: privateKey, ...pss } : privateKey;
  return {
    keyid: keyIdOf(publicForm),
    public: publicForm,
    privateKey,
    sign: (bytes) => sign(digest, bytes, options).toString('hex'),
  };
}
