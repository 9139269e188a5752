/** What may code-sign: each refusal names the file or flag and the fault, and never quotes a secret. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import * as asn1 from 'asn1js';
import { passphrasesFrom } from '../keys/passphrases.ts';
import { openCertificate, type SigningCertificate } from './signing-keys.ts';

const root = mkdtempSync(join(tmpdir(), 'countersign-signers-'));
after(() => rmSync(root, { recursive: true, force: true }));
const passphrase = 'correct-horse-battery';
const write = (name: string, text: string): string => {
  writeFileSync(join(root, name), text);
  return join(root, name);
};
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const plain = write('plain.key', pair.privateKey.export({ type: 'sec1', format: 'pem' }) as string);
const certificate = write('leaf.pem', 'not read here');
const words = passphrasesFrom([write('passphrase.txt', passphrase)], null);

const open = (more: Partial<SigningCertificate>, source = words) =>
  openCertificate(root, { certificate, privateKey: plain, timestampUrl: 'http://tsa.example/', ...more }, source);
const refuses = (more: Partial<SigningCertificate>, code: string, says: RegExp) =>
  assert.rejects(open(more), (error: Error & { code: string; hint: string }) => {
    assert.equal(error.code, code);
    assert.match(`${error.message} ${error.hint}`, says);
    assert.doesNotMatch(inspect(error, { depth: 10 }), /correct-horse|hidden-word/);
    return true;
  });

test('signs with a plain PEM file in the older form, and with an encrypted one', async () => {
  const encrypted = pair.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase });
  for (const privateKey of [plain, write('encrypted.key', encrypted as string)]) {
    const signer = await open({ privateKey });
    const bytes = Buffer.from('what is signed');
    assert.equal(verify('sha256', bytes, pair.publicKey, await signer.sign(bytes)), true);
    assert.deepEqual(signer.publicKey.export({ format: 'jwk' }), pair.publicKey.export({ format: 'jwk' }));
  }
});

test('refuses time-stamping addresses that are no web address, or carry a user or password', async () => {
  for (const timestampUrl of ['ftp://tsa.example/', 'file:///etc/passwd', 'nowhere', ''])
    await refuses({ timestampUrl }, 'SIGN_TIMESTAMP', /no http or https address/);
  for (const timestampUrl of ['http://hidden-word@tsa.example/', 'http://:hidden-word@tsa.example/'])
    await refuses({ timestampUrl }, 'SIGN_TIMESTAMP', /user or password/);
});

test('refuses private keys that are absent, no PEM, damaged, or encrypted in an unknown way', async () => {
  await refuses({ privateKey: join(root, 'absent.key') }, 'KEY_MISSING', /check --private-key/);
  await refuses({ privateKey: 'absent' }, 'KEY_MISSING', /absent\.pub\.json/);
  await refuses({ privateKey: write('text.key', 'hidden-word') }, 'KEY_FILE', /text\.key/);
  const damaged = '-----BEGIN PRIVATE KEY-----\nhidden-word\n-----END PRIVATE KEY-----\n';
  await refuses({ privateKey: write('damaged.pem', damaged) }, 'KEY_FILE', /damaged\.pem/);
  const parameters = new asn1.Sequence({
    value: [new asn1.OctetString({ valueHex: new Uint8Array(8).buffer }), new asn1.Integer({ value: 2048 })],
  });
  // pbeWithMD5AndDES-CBC
  const algorithm = new asn1.Sequence({
    value: [new asn1.ObjectIdentifier({ value: '1.2.840.113549.1.5.3' }), parameters],
  });
  const der = new asn1.Sequence({
    value: [algorithm, new asn1.OctetString({ valueHex: new Uint8Array(64).buffer })],
  }).toBER();
  const old = `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${Buffer.from(der).toString('base64')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
  await refuses({ privateKey: write('old.p8', old) }, 'KEY_FILE', /openssl pkcs8/);
});

test('refuses a wrong passphrase, and says so', async () => {
  const pem = pair.privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'hidden-word',
  });
  await refuses({ privateKey: write('other.key', pem as string) }, 'KEY_PASSPHRASE_WRONG', /other\.key/);
});

test('refuses an absent certificate', () =>
  refuses({ certificate: join(root, 'absent.pem') }, 'SIGN_CERTIFICATE', /absent\.pem/));
