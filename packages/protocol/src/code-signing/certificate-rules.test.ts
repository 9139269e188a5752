import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import * as pkijs from 'pkijs';
import { issue, oids } from '../../../../demo/certificates.ts';
import { checkLeaf } from './certificate-rules.ts';

const { der } = await issue({
  subject: { O: 'Example', CN: 'Example' },
  usages: { oids: [oids.codeSigning], critical: false },
});

/** The same certificate for another key. Its own signature does not hold any more, which is not what is checked here. */
function leafFor(key: KeyObject): Buffer {
  const certificate = pkijs.Certificate.fromBER(new Uint8Array(der).buffer);
  const spki = key.export({ type: 'spki', format: 'der' });
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(new Uint8Array(spki).buffer);
  return Buffer.from(certificate.toSchema(true).toBER(false));
}

/** A public RSA key with a modulus of that many bits. Nobody can sign by it. */
function rsa(bits: number): KeyObject {
  const modulus = randomBytes(Math.ceil(bits / 8));
  modulus[0] = (modulus[0]! | 0x80) >> (-bits & 7);
  modulus[modulus.length - 1]! |= 1;
  return createPublicKey({ key: { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }, format: 'jwk' });
}

for (const [what, key] of [
  ['a P-256 key', generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey],
  ['an RSA key of 3072 bits', rsa(3072)],
  ['an RSA key of 8192 bits', rsa(8192)],
] as const)
  test(`accepts a certificate with ${what}`, () => assert.match(checkLeaf(leafFor(key)).spki, /^[0-9a-f]{64}$/));

for (const [what, key] of [
  ['a P-384 key', generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey],
  ['a secp256k1 key', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey],
  ['an ed25519 key', generateKeyPairSync('ed25519').publicKey],
  ['an RSA key of 3071 bits', rsa(3071)],
  ['an RSA key of 8193 bits', rsa(8193)],
  ['an RSA-PSS key', generateKeyPairSync('rsa-pss', { modulusLength: 3072 }).publicKey],
] as const)
  test(`refuses a certificate with ${what}`, () =>
    assert.throws(() => checkLeaf(leafFor(key)), { code: 'CODESIGN_CERTIFICATE', message: /has a key of type/ }));
