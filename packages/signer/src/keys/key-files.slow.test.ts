/** Key files: what is written, what is refused, and that nothing is ever overwritten. */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { inspect } from 'node:util';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import type { PublicKey } from '@countersign/protocol';
import {
  decryptKeyFile,
  generateKeyFiles,
  insecureScryptWorkFactor as fast,
  publicKeyOf,
  readPublicKeyFile,
  type KeyFile,
} from './key-files.ts';

const passphrase = 'five-random-words';
const root = mkdtempSync(join(tmpdir(), 'countersign-keys-'));
after(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
let file: KeyFile;
beforeEach(() => {
  const stem = join(root, String(count++), 'alice');
  file = { privateFile: `${stem}.age`, publicFile: `${stem}.pub.json` };
});
const make = async (type: 'ed25519' | 'ecdsa' | 'rsa' = 'ecdsa'): Promise<PublicKey> =>
  (await generateKeyFiles([{ file, type }], passphrase, fast))[0]!;

async function encrypt(text: string): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(fast);
  return encrypter.encrypt(text);
}

for (const type of ['ed25519', 'ecdsa', 'rsa'] as const)
  test(`a ${type} key comes back from its files`, async () => {
    const key = await make(type);
    assert.deepEqual(readPublicKeyFile(file.publicFile), key);
    const secret = await decryptKeyFile(file, key, passphrase);
    assert.deepEqual(publicKeyOf(secret!), key);
  });

test('the file is an age file that takes age’s own work factor, and never holds the plain key', async () => {
  await generateKeyFiles([{ file, type: 'ecdsa' }], passphrase);
  const text = readFileSync(file.privateFile, 'latin1');
  assert.match(text, /^age-encryption\.org\/v1\n-> scrypt [A-Za-z0-9+/]{22} 18\n/);
  assert.doesNotMatch(text, /PRIVATE/);
});

test('a wrong passphrase opens nothing', async () => {
  assert.equal(await decryptKeyFile(file, await make(), 'five-other-words'), null);
});

test('refuses a short passphrase and writes nothing', async () => {
  await assert.rejects(generateKeyFiles([{ file, type: 'ecdsa' }], 'short77', fast), { code: 'KEY_PASSPHRASE_WEAK' });
  assert.equal(existsSync(file.privateFile), false);
});

test('never overwrites, and makes none of several where one is there already', async () => {
  await make();
  const before = readFileSync(file.privateFile);
  const other = { privateFile: join(root, 'b.age'), publicFile: join(root, 'b.pub.json') };
  const both = [
    { file: other, type: 'ecdsa' as const },
    { file, type: 'ecdsa' as const },
  ];
  await assert.rejects(generateKeyFiles(both, passphrase, fast), { code: 'KEY_EXISTS' });
  assert.deepEqual(readFileSync(file.privateFile), before);
  assert.equal(existsSync(other.privateFile), false);
  rmSync(file.privateFile);
  await assert.rejects(make(), { code: 'KEY_EXISTS' });
  assert.equal(existsSync(file.privateFile), false);
});

test('of two at once for one name, one wins whole', async () => {
  const results = await Promise.allSettled([make(), make(), make()]);
  const won = results.filter((result) => result.status === 'fulfilled');
  assert.equal(won.length, 1);
  for (const result of results) if (result.status === 'rejected') assert.equal(result.reason.code, 'KEY_EXISTS');
  assert.ok(await decryptKeyFile(file, readPublicKeyFile(file.publicFile), passphrase));
  assert.deepEqual(readdirSync(join(file.privateFile, '..')).sort(), ['alice.age', 'alice.pub.json']);
});

test('refuses a truncated or changed key file at any length', async () => {
  const key = await make();
  const whole = readFileSync(file.privateFile);
  for (const length of [0, 10, 60, 130, 190, whole.length - 40, whole.length - 1]) {
    writeFileSync(file.privateFile, whole.subarray(0, length));
    await assert.rejects(decryptKeyFile(file, key, passphrase), { code: 'KEY_FILE' });
  }
  const changed = Buffer.from(whole);
  changed[changed.length - 5]! ^= 1;
  writeFileSync(file.privateFile, changed);
  await assert.rejects(decryptKeyFile(file, key, passphrase), { code: 'KEY_FILE' });
});

test('refuses an age file for a recipient: no passphrase would ever open it', async () => {
  const key = await make();
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(await generateIdentity()));
  writeFileSync(file.privateFile, await encrypter.encrypt('x'));
  await assert.rejects(decryptKeyFile(file, key, passphrase), { code: 'KEY_FILE' });
});

test('refuses files that are too large, or absent', async () => {
  const key = await make();
  writeFileSync(file.privateFile, Buffer.concat([readFileSync(file.privateFile), Buffer.alloc(1 << 16)]));
  await assert.rejects(decryptKeyFile(file, key, passphrase), { code: 'KEY_FILE' });
  writeFileSync(file.publicFile, Buffer.alloc((1 << 14) + 1, ' '));
  assert.throws(() => readPublicKeyFile(file.publicFile), { code: 'KEY_FILE' });
  rmSync(file.privateFile);
  rmSync(file.publicFile);
  await assert.rejects(decryptKeyFile(file, key, passphrase), { code: 'KEY_MISSING' });
  assert.throws(() => readPublicKeyFile(file.publicFile), { code: 'KEY_MISSING' });
});

test('refuses a public half that is not the key’s, or is none', async () => {
  const key = await make();
  const other = publicKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  await assert.rejects(decryptKeyFile(file, other, passphrase), { code: 'KEY_MISMATCH' });
  for (const bad of [
    '',
    '[]',
    '{"keytype":"ecdsa"}',
    JSON.stringify({ ...key, more: 1 }),
    JSON.stringify({ ...key, scheme: 'ed25519' }),
    JSON.stringify({ ...key, keyval: { public: 'aa' } }),
  ]) {
    writeFileSync(file.publicFile, bad);
    assert.throws(() => readPublicKeyFile(file.publicFile), { code: 'KEY_FILE' }, bad);
  }
});

test('refuses what decrypts to no private key, and never quotes it', async () => {
  const key = await make();
  for (const text of ['', 'hunter2-hunter2', '-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n']) {
    writeFileSync(file.privateFile, await encrypt(text));
    await assert.rejects(decryptKeyFile(file, key, passphrase), (error: Error & { code: string }) => {
      assert.equal(error.code, 'KEY_FILE');
      assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /hunter2|five-random/);
      return true;
    });
  }
});

test('refuses private keys of other types', () => {
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  assert.throws(() => publicKeyOf(p384), { code: 'KEY_TYPE' });
  const x25519 = createPrivateKey(generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
  assert.throws(() => publicKeyOf(x25519), { code: 'KEY_TYPE' });
});
