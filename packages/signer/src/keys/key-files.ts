/**
 * Reads and makes key files: `NAME.age` holds the PKCS#8 PEM of a private key, encrypted by age with a passphrase (scrypt),
 * `NAME.pub.json` the public key in TUF's form. Invariants: a key file is never overwritten, not even by two commands at once; a
 * private key is used only when it belongs to the public key beside it. The plain key must never touch the disk.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  codeOf,
  escapeText,
  format,
  keyIdOf,
  keyMaterial,
  parseJson,
  PublicKey as PublicKeySchema,
  type PublicKey,
} from '@countersign/protocol';
import { makeFolder, readIfPresent, writeDurable, writeFailure } from '@countersign/protocol/node';
import { keyError } from './key-errors.ts';

export const keyTypes = ['ed25519', 'ecdsa', 'rsa'] as const;
export type KeyType = (typeof keyTypes)[number];

/** The files of the two halves of a key. */
export interface KeyFile {
  readonly privateFile: string;
  readonly publicFile: string;
}

const maximumPrivateBytes = 64 * 1024;
const maximumPublicBytes = 16 * 1024;
const publicKeyFormat = format('public key', PublicKeySchema, maximumPublicBytes);

/** age's default: about a second and 256 MB for each try. */
export const scryptWorkFactor = 18;
/** For demos and tests only: anyone with the file can try a thousand passphrases a second. */
export const insecureScryptWorkFactor = 8;
const minimumPassphrase = 8;

/** @throws KEY_MISSING KEY_FILE */
export function readPublicKeyFile(file: string): PublicKey {
  const bytes = readBounded(file, maximumPublicBytes);
  if (!bytes) throw keyError('KEY_MISSING', `reading the public key: there is no ${file}`);
  let key: PublicKey;
  try {
    key = publicKeyFormat.check(parseJson(bytes, file, maximumPublicBytes), file);
  } catch (cause) {
    throw damaged(file, 'is no public key', cause);
  }
  if (keyMaterial(key) === null) throw damaged(file, `holds a ${key.keytype} key that cannot be used`);
  return key;
}

/**
 * Decrypts a private key and checks that it belongs to the public one. Null when the passphrase is wrong.
 * @throws KEY_MISSING KEY_FILE KEY_MISMATCH
 */
export async function decryptKeyFile(file: KeyFile, key: PublicKey, passphrase: string): Promise<KeyObject | null> {
  const bytes = readBounded(file.privateFile, maximumPrivateBytes);
  if (!bytes) throw keyError('KEY_MISSING', `opening the key: there is no ${file.privateFile}`);
  // Without this check "no identity matched" could mean more than a wrong passphrase.
  if (!bytes.toString('latin1', 0, 40).startsWith('age-encryption.org/v1\n-> scrypt '))
    throw damaged(file.privateFile, bytes.length === 0 ? emptyFile : 'is no age file with a passphrase');
  const { Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  let pem: Uint8Array;
  try {
    pem = await decrypter.decrypt(bytes);
  } catch (cause) {
    if (cause instanceof Error && cause.message.startsWith('no identity matched')) return null;
    throw damaged(file.privateFile, 'is truncated or was changed', cause);
  }
  let secret: KeyObject;
  try {
    secret = createPrivateKey({ key: Buffer.from(pem.buffer, pem.byteOffset, pem.length), format: 'pem' });
  } catch {
    // Leaves out the cause: its text might quote what was decrypted.
    throw damaged(file.privateFile, 'holds no private key');
  } finally {
    pem.fill(0);
  }
  if (keyMaterial(publicKeyOf(secret)) !== keyMaterial(key))
    throw keyError('KEY_MISMATCH', `${file.privateFile} is not the private key of ${file.publicFile}`);
  return secret;
}

export interface NewKey {
  readonly file: KeyFile;
  readonly type: KeyType;
}

/**
 * Makes keys: all of them, or none if one cannot be made. `workFactor` is scrypt's log2 N.
 * @returns the public keys in the same order
 * @throws KEY_EXISTS KEY_PASSPHRASE_WEAK DISK_FULL FILE_WRITE
 */
export async function generateKeyFiles(
  keys: readonly NewKey[],
  passphrase: string,
  workFactor = scryptWorkFactor,
): Promise<PublicKey[]> {
  if ([...passphrase].length < minimumPassphrase)
    throw keyError('KEY_PASSPHRASE_WEAK', `the passphrase has fewer than ${minimumPassphrase} characters`);
  const reserved: string[] = [];
  try {
    for (const { file } of keys)
      for (const name of [file.privateFile, file.publicFile]) {
        makeFolder(dirname(name), { mode: 0o700 });
        reserve(name);
        reserved.push(name);
      }
    const made: PublicKey[] = [];
    for (const { file, type } of keys) {
      const secret = generateSecret(type);
      const key = publicKeyOf(secret);
      writeDurable(file.privateFile, await encryptSecret(secret, passphrase, workFactor), { mode: 0o600 });
      writeDurable(file.publicFile, `${JSON.stringify(key, null, 2)}\n`);
      made.push(key);
    }
    return made;
  } catch (error) {
    for (const name of reserved) rmSync(name, { force: true });
    throw error;
  }
}

/**
 * Takes a name before anything is written under it: an empty file that only one command can make. Renaming over it is then
 * safe, and works on file systems without links.
 */
function reserve(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') throw keyError('KEY_EXISTS', `making a key: ${file} is there already`, { cause });
    throw writeFailure(file, 'making', cause);
  }
}

function generateSecret(type: KeyType): KeyObject {
  if (type === 'ed25519') return generateKeyPairSync('ed25519').privateKey;
  if (type === 'ecdsa') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  return generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey;
}

async function encryptSecret(secret: KeyObject, passphrase: string, workFactor: number): Promise<Uint8Array> {
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(workFactor);
  return encrypter.encrypt(secret.export({ type: 'pkcs8', format: 'pem' }) as string);
}

/** The public half in TUF's form (specification §4.2). @throws KEY_TYPE */
export function publicKeyOf(secret: KeyObject): PublicKey {
  const spki = createPublicKey(secret);
  const pem = spki.export({ type: 'spki', format: 'pem' }).toString();
  const type = spki.asymmetricKeyType;
  if (type === 'ed25519') {
    const hex = Buffer.from(spki.export({ format: 'jwk' }).x!, 'base64url').toString('hex');
    return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } };
  }
  if (type === 'ec' && spki.asymmetricKeyDetails?.namedCurve === 'prime256v1')
    return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } };
  if (type === 'rsa') return { keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: pem } };
  throw keyError('KEY_TYPE', `a private key of type ${type ?? 'unknown'} cannot sign`);
}

/** What people are shown of a key. */
export const describeKey = (key: PublicKey) => ({
  keytype: key.keytype,
  scheme: key.scheme,
  keyid: keyIdOf(key),
  /** The name of the key in revocations. */
  spki: keyMaterial(key)!,
});

const emptyFile = 'is empty: making it was cut off; remove it and its other half, then make the key again';

function readBounded(file: string, maximum: number): Buffer | undefined {
  try {
    return readIfPresent(file, maximum);
  } catch (cause) {
    throw damaged(file, cause instanceof Error ? `cannot be read: ${escapeText(cause.message, 300)}` : '', cause);
  }
}

const damaged = (file: string, what: string, cause?: unknown): Error =>
  keyError('KEY_FILE', `${file} ${what}`, cause === undefined ? {} : { cause });
