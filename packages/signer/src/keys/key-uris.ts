/**
 * Finds keys by URI, reads their public halves and opens them to sign. Invariants: every name is resolved before the first
 * passphrase is asked; each key is decrypted once per command, even if it is named several times; a passphrase comes from a file
 * or a prompt, never from an argument, and is never in a message.
 */
import { constants, sign, type KeyObject } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkArchivePath, codeOf, escapeText, keyIdOf, type PublicKey } from '@countersign/protocol';
import { keyError } from './key-errors.ts';
import { decryptKeyFile, readPublicKeyFile, type KeyFile } from './key-files.ts';
import type { Passphrases } from './passphrases.ts';

/** A key that can sign while the command runs. It is also a signer of DSSE envelopes. */
export interface OpenKey {
  readonly uri: string;
  readonly keyid: string;
  readonly key: PublicKey;
  /** In the form of TUF and DSSE: ed25519 raw, ecdsa P-256 as DER, rsassa-pss-sha256. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
  /** In the form for a code-signing certificate, with SHA-256: ECDSA as DER, RSA as PKCS#1 v1.5. @throws KEY_TYPE */
  signForCertificate(bytes: Uint8Array): Promise<Uint8Array>;
}

const keyName = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** The files of the key NAME in the workspace's own folder. @throws KEY_NAME */
export function namedKeyFile(workspace: string, name: string): KeyFile {
  try {
    if (!keyName.test(name)) throw keyError('KEY_NAME', 'characters');
    checkArchivePath(name); // refuses names that Windows reserves
  } catch (cause) {
    throw keyError('KEY_NAME', `"${escapeText(name, 100)}" cannot name a key`, { cause });
  }
  return fileOf(join(resolve(workspace), 'keys', name));
}

const fileOf = (stem: string): KeyFile => ({ privateFile: `${stem}.age`, publicFile: `${stem}.pub.json` });

/**
 * The file of a key that a person named: `file:PATH`, a path, `keys/NAME` or `NAME`, relative to the workspace, with or without
 * `.age` or `.pub.json`.
 * @throws KEY_URI KEY_SOURCE_UNAVAILABLE
 */
export function locateKey(workspace: string, uri: string): KeyFile {
  const shown = escapeText(uri, 200);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]+):/.exec(uri)?.[1]?.toLowerCase();
  if (scheme === 'pkcs11' || scheme === 'azurekms')
    throw keyError(
      'KEY_SOURCE_UNAVAILABLE',
      `${scheme === 'pkcs11' ? 'tokens' : 'vaults'} are not available yet: ${shown}`,
    );
  if (scheme !== undefined && scheme !== 'file') throw keyError('KEY_URI', `"${shown}" has an unknown scheme`);
  let path = scheme === 'file' ? uri.slice('file:'.length) : uri;
  if (path.startsWith('//'))
    try {
      path = fileURLToPath(uri);
    } catch (cause) {
      throw keyError('KEY_URI', `"${shown}" is no file address`, { cause });
    }
  const stem = path.replace(/\.(age|pub\.json)$/, '');
  if (basename(stem) === '' || stem.includes('\0') || /^\.{1,2}$/.test(basename(stem)))
    throw keyError('KEY_URI', `"${shown}" names no key`);
  // A bare name is a file in the folder of keys.
  const bare = scheme === undefined && keyName.test(stem);
  return fileOf(isAbsolute(stem) ? stem : resolve(workspace, bare ? join('keys', stem) : stem));
}

/** The public half of a key that a person named; somebody else's `.pub.json` is enough. @throws KEY_* */
export const readPublicKey = (workspace: string, uri: string): PublicKey =>
  readPublicKeyFile(locateKey(workspace, uri).publicFile);

/** Names in the workspace's folder of keys, sorted, including those without a private half. */
export function listKeys(
  workspace: string,
): { readonly name: string; readonly file: KeyFile; readonly held: boolean }[] {
  const folder = join(resolve(workspace), 'keys');
  let files: string[];
  try {
    files = readdirSync(folder);
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return [];
    throw keyError('KEY_FILE', `listing ${folder}: ${codeOf(cause) ?? 'failed'}`, { cause });
  }
  return files
    .filter((file) => file.endsWith('.pub.json'))
    .map((file) => file.slice(0, -'.pub.json'.length))
    .sort()
    .map((name) => ({ name, file: fileOf(join(folder, name)), held: files.includes(`${name}.age`) }));
}

/**
 * Opens each named key once, in the order of first naming.
 * @throws KEY_URI KEY_SOURCE_UNAVAILABLE KEY_MISSING KEY_FILE KEY_MISMATCH KEY_TYPE KEY_PASSPHRASE_NEEDED KEY_PASSPHRASE_WRONG
 */
export async function openKeys(
  workspace: string,
  uris: readonly string[],
  passphrases: Passphrases,
): Promise<OpenKey[]> {
  const named = new Map<string, { uri: string; file: KeyFile; key: PublicKey }>();
  for (const uri of uris) {
    const file = locateKey(workspace, uri);
    const key = readPublicKeyFile(file.publicFile);
    // Two names for one key are one key.
    const keyid = keyIdOf(key);
    if (!named.has(keyid)) named.set(keyid, { uri, file, key });
  }
  const opened: OpenKey[] = [];
  for (const [keyid, { uri, file, key }] of named) {
    const secret = await passphrases.unlock(uri, (passphrase) => decryptKeyFile(file, key, passphrase));
    opened.push(openKey(uri, keyid, key, secret));
  }
  return opened;
}

/** @throws KEY_TYPE */
function openKey(uri: string, keyid: string, key: PublicKey, secret: KeyObject): OpenKey {
  const pss = { key: secret, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const schemes: Readonly<Record<string, (bytes: Uint8Array) => Buffer>> = {
    ed25519: (bytes) => sign(null, bytes, secret),
    'ecdsa-sha2-nistp256': (bytes) => sign('sha256', bytes, secret),
    'rsassa-pss-sha256': (bytes) => sign('sha256', bytes, pss),
  };
  const make = Object.hasOwn(schemes, key.scheme) ? schemes[key.scheme] : undefined;
  if (!make)
    throw keyError('KEY_TYPE', `the key ${escapeText(uri, 200)} has the scheme ${key.scheme}, which cannot sign`);
  return {
    uri,
    keyid,
    key,
    sign: async (bytes) => make(bytes),
    signForCertificate: async (bytes) => {
      if (key.scheme === 'ed25519')
        throw keyError('KEY_TYPE', `the key ${escapeText(uri, 200)} is ed25519, which no code-signing certificate has`);
      return sign('sha256', bytes, secret);
    },
  };
}
