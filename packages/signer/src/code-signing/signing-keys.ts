/**
 * Opens what code-signs: a certificate with its private key, from a PEM file (PKCS#8, encrypted or not) or a key URI, or a pinned
 * key. Must never put a secret into a message: Node's own message about an unreadable private key is dropped.
 */
import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { extname, resolve } from 'node:path';
import { codeOf, escapeText } from '@countersign/protocol';
import { readIfPresent } from '@countersign/protocol/node';
import { keyError } from '../keys/key-errors.ts';
import { openKeys, type OpenKey } from '../keys/key-uris.ts';
import type { Passphrases } from '../keys/passphrases.ts';
import { codeSigningError } from './code-signing-errors.ts';
import type { CertificateSigner, KeySigner, RawSign } from './statement-signer.ts';

const maximumPemBytes = 64 * 1024;

export interface SigningCertificate {
  /** PEM file, the leaf first. */
  readonly certificate: string;
  /** PEM file, or key URI. */
  readonly privateKey: string;
  readonly timestampUrl: string;
}

/** @throws SIGN_CERTIFICATE SIGN_TIMESTAMP KEY_* */
export async function openCertificate(
  workspace: string,
  { certificate, privateKey, timestampUrl }: SigningCertificate,
  passphrases: Passphrases,
): Promise<CertificateSigner> {
  checkTimestampUrl(timestampUrl);
  const certificates = readFile(resolve(certificate));
  if (!certificates) throw codeSigningError('SIGN_CERTIFICATE', `there is no ${resolve(certificate)}`);
  const secret = await openPrivateKey(workspace, privateKey, passphrases);
  return { kind: 'certificate', certificates: certificates.toString('latin1'), timestampUrl, ...secret };
}

/** Opens a pinned key: for tests, and until there is a certificate. @throws KEY_* */
export async function openPinnedKey(workspace: string, uri: string, passphrases: Passphrases): Promise<KeySigner> {
  const [open] = await openKeys(workspace, [uri], passphrases);
  return { kind: 'key', publicKey: open!.key, sign: open!.sign };
}

/** Plain HTTP is usual, since the answer is signed; a password in the address would end up in messages. */
function checkTimestampUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw codeSigningError('SIGN_TIMESTAMP', `"${escapeText(text, 200)}" is no http or https address`);
  if (url.username !== '' || url.password !== '')
    throw codeSigningError('SIGN_TIMESTAMP', `the address of ${escapeText(url.host)} has a user or password in it`);
}

interface Secret {
  readonly publicKey: KeyObject;
  readonly sign: RawSign;
}

async function openPrivateKey(workspace: string, source: string, passphrases: Passphrases): Promise<Secret> {
  const uri = /^(file|pkcs11|azurekms):/i.test(source) || /\.(age|pub\.json)$/.test(source);
  const file = resolve(source);
  const pem = uri ? undefined : readFile(file);
  if (pem) return openPem(file, pem, passphrases);
  if (!uri && ['.pem', '.key', '.p8'].includes(extname(source)))
    throw keyError('KEY_MISSING', `opening the private key: there is no ${file}`, { hint: 'check --private-key' });
  const [open] = await openKeys(workspace, [source], passphrases);
  return { publicKey: certificateKeyOf(open!), sign: open!.signForCertificate };
}

function certificateKeyOf({ uri, key }: OpenKey): KeyObject {
  if (key.keytype === 'ed25519')
    throw keyError('KEY_TYPE', `the key ${escapeText(uri, 200)} is ed25519, which no code-signing certificate has`);
  return createPublicKey(key.keyval.public);
}

/** @throws KEY_FILE KEY_PASSPHRASE_* */
async function openPem(file: string, pem: Buffer, passphrases: Passphrases): Promise<Secret> {
  const text = pem.toString('latin1');
  try {
    const secret = /ENCRYPTED/.test(text)
      ? await passphrases.unlock(file, (passphrase) => Promise.resolve(decryptPem(file, pem, passphrase)))
      : readSecret(file, pem);
    return { publicKey: createPublicKey(secret), sign: (bytes) => sign('sha256', bytes, secret) };
  } finally {
    pem.fill(0);
  }
}

function readSecret(file: string, pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw keyError('KEY_FILE', `${file} holds no private key in PEM form that can be used`);
  }
}

/** Null if the passphrase is wrong, which can show in several errors. */
function decryptPem(file: string, pem: Buffer, passphrase: string): KeyObject | null {
  try {
    return createPrivateKey({ key: pem, passphrase });
  } catch (error) {
    if (codeOf(error)?.endsWith('UNSUPPORTED'))
      throw keyError('KEY_FILE', `${file} is encrypted in a way that cannot be read`, {
        hint: 'write it anew: openssl pkcs8 -topk8 -v2 aes256 -in KEY -out NEW',
      });
    return null;
  }
}

const readFile = (file: string): Buffer | undefined => readIfPresent(file, maximumPemBytes);
