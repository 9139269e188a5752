/**
 * Keeps the online keys: snapshot and timestamp. They are on the server because they sign without a person. With them alone
 * nobody can alter what devices install, only withhold it until the offline roles expire. They are kept in a file of the service
 * account.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import {
  keyIdOf,
  parseJson,
  serialize,
  signedBytes,
  type PublicKey,
  type Role,
  type Root,
} from '@countersign/protocol';
import { readIfPresent, writeDurable } from '@countersign/protocol/node';
import { serverError } from './errors.ts';

export type OnlineRole = 'snapshot' | 'timestamp';

export interface OnlineKey {
  readonly keyid: string;
  readonly key: PublicKey;
  readonly secret: KeyObject;
}
export type OnlineKeys = Readonly<Record<OnlineRole, OnlineKey>>;

const fileOf = (directory: string): string => join(directory, 'online-keys.secret.json');

/** Makes both keys and keeps them. @throws FILE_WRITE */
export function makeOnlineKeys(directory: string): OnlineKeys {
  const keys = { snapshot: newKey(), timestamp: newKey() };
  const pem = ({ secret }: OnlineKey): string => secret.export({ type: 'pkcs8', format: 'pem' }) as string;
  writeDurable(fileOf(directory), JSON.stringify({ snapshot: pem(keys.snapshot), timestamp: pem(keys.timestamp) }), {
    mode: 0o600,
  });
  return keys;
}

/** @throws SERVER_MISSING */
export function readOnlineKeys(directory: string): OnlineKeys {
  const bytes = readIfPresent(fileOf(directory), 1 << 16);
  if (!bytes) throw serverError('SERVER_MISSING', `${fileOf(directory)} is missing`);
  const json = parseJson(bytes, 'the file of online keys', 1 << 16) as Record<OnlineRole, string>;
  return { snapshot: keyOf(createPrivateKey(json.snapshot)), timestamp: keyOf(createPrivateKey(json.timestamp)) };
}

/** What the signer puts into root: `countersign init --online-keys FILE`. */
export const publicOnlineKeys = (keys: OnlineKeys) => ({
  snapshot: [keys.snapshot.key],
  timestamp: [keys.timestamp.key],
});

/** Signs metadata with the key that the root names for the role. @throws SERVER_ONLINE_KEY */
export function signOnline(role: OnlineRole, signed: object, keys: OnlineKeys, root: Root): Buffer {
  const { keyid, secret } = keys[role];
  const named: Role = root.roles[role];
  if (!named.keyids.includes(keyid) || named.threshold !== 1)
    throw serverError('SERVER_ONLINE_KEY', `root ${root.version} does not name this server’s ${role} key`);
  return serialize(signed, [
    { keyid, sig: sign(isEd25519(secret) ? null : 'sha256', signedBytes(signed), secret).toString('hex') },
  ]);
}

function newKey(): OnlineKey {
  return keyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

/** P-256 as made here, or ed25519 where an operator brings that. */
function keyOf(secret: KeyObject): OnlineKey {
  const half = createPublicKey(secret);
  const key: PublicKey = isEd25519(secret)
    ? {
        keytype: 'ed25519',
        scheme: 'ed25519',
        keyval: { public: Buffer.from(half.export({ format: 'jwk' }).x!, 'base64url').toString('hex') },
      }
    : {
        keytype: 'ecdsa',
        scheme: 'ecdsa-sha2-nistp256',
        keyval: { public: half.export({ type: 'spki', format: 'pem' }).toString() },
      };
  return { keyid: keyIdOf(key), key, secret };
}

const isEd25519 = (key: KeyObject): boolean => key.asymmetricKeyType === 'ed25519';
