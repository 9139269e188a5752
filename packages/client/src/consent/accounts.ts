/**
 * Keeps the accounts of the people who approve on this device. Each has a P-256 key that only its password opens: scrypt, then
 * AES-256-GCM bound to the account's name and key. Invariants: an attempt counts as failed before the password is tried, so
 * neither killing the process nor trying in parallel gains a guess; the wait doubles with each wrong password and survives a
 * restart. Must never log, keep or return a password or a private key.
 */
import { Buffer } from 'node:buffer';
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  scrypt,
  sign,
  type KeyObject,
} from 'node:crypto';
import { keyIdOf, timeText, type CountersignError, type PublicKey } from '@countersign/protocol';
import { appendAudit, keepPerson, personCommitment } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { consentError } from './consent-errors.ts';

/** What an account may do: technicians approve plans; administrators set the model and recover. */
export type AccountRole = 'technician' | 'administrator';

export interface Account {
  readonly name: string;
  readonly printedName: string;
  readonly roles: readonly AccountRole[];
  readonly keyid: string;
  readonly publicKey: PublicKey;
  readonly created: string;
}

/** A person who just gave the password. Valid for one answer; never stored. */
export interface SignedIn extends Account {
  readonly authenticated: Date;
  /** ECDSA P-256 with SHA-256, DER. */
  sign(bytes: Uint8Array): Buffer;
}

export interface ScryptCosts {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

interface AccountRow {
  readonly name: string;
  readonly printed_name: string;
  readonly roles: string;
  readonly keyid: string;
  readonly public_key: string;
  readonly wrapped_key: string;
  readonly failures: number;
  readonly locked_until: string | null;
  readonly created: string;
}

interface WrappedKey extends ScryptCosts {
  readonly salt: string;
  readonly iv: string;
  readonly tag: string;
  readonly data: string;
}

/** About 128 MB and half a second for each try. */
const strong: ScryptCosts = { N: 2 ** 17, r: 8, p: 1 };
const minimumPassword = 8;
const longestWaitSeconds = 3600;

export interface NewAccount {
  readonly name: string;
  readonly printedName: string;
  readonly roles: readonly AccountRole[];
  readonly password: string;
  /** Tests only: makes the password cheap to guess. */
  readonly weakCostsForTests?: ScryptCosts;
}

/**
 * Makes an account with a new key. Needs no device lock; anyone who may write to the device folder may add accounts.
 * @throws ACCOUNT_NAME ACCOUNT_EXISTS ACCOUNT_PASSWORD_SHORT
 */
export async function addAccount(device: Device, account: NewAccount): Promise<Account> {
  const { name, printedName, roles } = account;
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name))
    throw consentError('ACCOUNT_NAME', `the account name has ${name.length} characters or others than are allowed`);
  if (!/^[^\p{C}\p{Zl}\p{Zp}]{1,80}$/u.test(printedName) || printedName.trim() === '')
    throw consentError('ACCOUNT_NAME', 'the printed name is empty, too long or has invisible characters');
  if ([...account.password].length < minimumPassword)
    throw consentError('ACCOUNT_PASSWORD_SHORT', `the password has fewer than ${minimumPassword} characters`);
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: pair.publicKey.export({ type: 'spki', format: 'pem' }) },
  };
  const keyid = keyIdOf(publicKey);
  const wrapped = await wrap(pair.privateKey, account.password, binding(name, keyid), account.weakCostsForTests);
  const { database } = device;
  return transact(database, () => {
    if (database.prepare('SELECT 1 FROM account WHERE name = ?').get(name))
      throw consentError('ACCOUNT_EXISTS', `there is already an account ${name}`);
    const created = timeText(device.clock());
    database
      .prepare(
        `INSERT INTO account (name, printed_name, roles, keyid, public_key, wrapped_key, created)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        name,
        printedName,
        JSON.stringify(roles),
        keyid,
        JSON.stringify(publicKey),
        JSON.stringify(wrapped),
        created,
      );
    const person = recordPerson(device, name, printedName);
    appendAudit(device, 'account-added', { keyid, key: publicKey, person, roles });
    return { name, printedName, roles, keyid, publicKey, created };
  });
}

/** Every account, by name. */
export const listAccounts = (device: Device): Account[] =>
  (device.database.prepare('SELECT * FROM account ORDER BY name').all() as unknown as AccountRow[]).map(accountOf);

/**
 * Opens the account's key with its password. Takes half a second on purpose, even for a name without an account.
 * @throws ACCOUNT_REFUSED (no such account, or wrong password) ACCOUNT_LOCKED
 */
export async function signIn(device: Device, name: string, password: string): Promise<SignedIn> {
  const row = beginAttempt(device, name);
  if (row === undefined) {
    await derive(password, randomBytes(16), strong);
    throw refused(name);
  }
  const key = await unwrap(JSON.parse(row.wrapped_key) as WrappedKey, password, binding(row.name, row.keyid));
  if (key === null) {
    appendAudit(device, 'sign-in-refused', { keyid: row.keyid, failures: row.failures + 1 });
    throw refused(name);
  }
  device.database.prepare('UPDATE account SET failures = 0, locked_until = NULL WHERE name = ?').run(row.name);
  return { ...accountOf(row), authenticated: device.clock(), sign: (bytes) => sign('sha256', bytes, key) };
}

/** Keeps a person's clear names in the side table and returns their commitment; only the commitment goes into the chain. */
function recordPerson(device: Device, account: string, printedName: string): string {
  const salt = randomBytes(16).toString('hex');
  const commitment = personCommitment(salt, account, printedName);
  keepPerson(device, commitment, { salt, account, printedName });
  return commitment;
}

/** Counts the attempt as a failure and sets its wait, before any password is looked at. @throws ACCOUNT_LOCKED */
function beginAttempt(device: Device, name: string): AccountRow | undefined {
  const { database } = device;
  return transact(database, () => {
    const row = database.prepare('SELECT * FROM account WHERE name = ?').get(name) as AccountRow | undefined;
    if (row === undefined) return undefined;
    const now = device.clock().getTime();
    const until = row.locked_until === null ? 0 : Date.parse(row.locked_until);
    // A clock that was far ahead and was corrected must not lock somebody out for years, so no wait is longer than the longest.
    if (now < until && until - now <= longestWaitSeconds * 1000 + 1000)
      throw consentError('ACCOUNT_LOCKED', `account ${name} may be tried again at ${row.locked_until!}`, {
        context: { until: row.locked_until },
      });
    const wait = Math.min(2 ** Math.min(row.failures, 20), longestWaitSeconds);
    database
      .prepare('UPDATE account SET failures = failures + 1, locked_until = ? WHERE name = ?')
      .run(timeText(new Date(now + wait * 1000 + 999)), name);
    return row;
  });
}

const refused = (name: string): CountersignError =>
  consentError(
    'ACCOUNT_REFUSED',
    `there is no account ${/^[a-z0-9._-]{1,63}$/.test(name) ? name : 'of that name'} with that password`,
  );

const accountOf = (row: AccountRow): Account => ({
  name: row.name,
  printedName: row.printed_name,
  roles: JSON.parse(row.roles) as AccountRole[],
  keyid: row.keyid,
  publicKey: JSON.parse(row.public_key) as PublicKey,
  created: row.created,
});

/** What the wrapped key is bound to, so that rows cannot be swapped between accounts. */
const binding = (name: string, keyid: string): Buffer => Buffer.from(`countersign/account/v1\0${name}\0${keyid}`);

/** The same password typed on another keyboard or system must be the same bytes: NFKC. */
function derive(password: string, salt: Uint8Array, { N, r, p }: ScryptCosts): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    scrypt(password.normalize('NFKC'), salt, 32, { N, r, p, maxmem: 2 ** 28 }, (error, key) =>
      error ? reject(error) : resolve(key),
    ),
  );
}

async function wrap(key: KeyObject, password: string, bound: Buffer, costs = strong): Promise<WrappedKey> {
  const salt = randomBytes(16);
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await derive(password, salt, costs), iv).setAAD(bound);
  const data = Buffer.concat([cipher.update(key.export({ type: 'pkcs8', format: 'der' })), cipher.final()]);
  const text = (bytes: Buffer): string => bytes.toString('base64');
  return { ...costs, salt: text(salt), iv: text(iv), tag: text(cipher.getAuthTag()), data: text(data) };
}

/** The key, or null for a wrong password or a row that was tampered with. */
async function unwrap(wrapped: WrappedKey, password: string, bound: Buffer): Promise<KeyObject | null> {
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
  try {
    const secret = await derive(password, bytes(wrapped.salt), wrapped);
    const decipher = createDecipheriv('aes-256-gcm', secret, bytes(wrapped.iv), { authTagLength: 16 });
    decipher.setAAD(bound).setAuthTag(bytes(wrapped.tag));
    const der = Buffer.concat([decipher.update(bytes(wrapped.data)), decipher.final()]);
    return createPrivateKey({ key: der, type: 'pkcs8', format: 'der' });
  } catch {
    return null;
  }
}
