import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createAuthority, vendor, type Authority } from '../../../../demo/authority.ts';
import type { Issued } from '../../../../demo/certificates.ts';
import { identityOf, trustedRootOf } from './certificate-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'countersign-certificates-'));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
function pem(...certificates: (Issued | string)[]): string {
  const file = join(folder, `${files++}.pem`);
  writeFileSync(file, certificates.map((one) => (typeof one === 'string' ? one : one.pem)).join(''));
  return file;
}

let authority: Authority;
let leaf: Issued;
before(async () => {
  authority = await createAuthority();
  leaf = await authority.certify();
});

test('the files of a CA become its trusted root, with the signing certificate before them or not', () => {
  const { codeSigningCa, root, timeStamping, timeStampingCa } = authority;
  const stamping = pem(timeStamping, timeStampingCa, root);
  const made = trustedRootOf(pem('some words\n', codeSigningCa, root), stamping) as {
    certificateAuthorities: { certChain: unknown; validFor: unknown }[];
    timestampAuthorities: { certChain: unknown }[];
  };
  const expected = authority.trustedRoot() as typeof made;
  for (const list of ['certificateAuthorities', 'timestampAuthorities'] as const)
    assert.deepEqual(made[list][0]!.certChain, expected[list][0]!.certChain);
  assert.deepEqual(trustedRootOf(pem(leaf, codeSigningCa, root), stamping), made);
});

test('an identity is the issuer and the whole subject of its certificate', () => {
  const { issuer, subject } = identityOf(pem(leaf, authority.codeSigningCa));
  assert.deepEqual(subject, vendor);
  assert.match(issuer, /CN=Stand-In Code Signing CA/);
  assert.throws(() => identityOf(pem(authority.timeStamping)), { code: 'CODESIGN_CERTIFICATE' });
});

test('refuses files that are no chain from first to root', () => {
  const { codeSigningCa, root, timeStamping, timeStampingCa } = authority;
  const [signing, stamping] = [pem(codeSigningCa, root), pem(timeStamping, timeStampingCa, root)];
  const refused = (message: RegExp, code: string, time: string): void =>
    assert.throws(() => trustedRootOf(code, time), { code: 'DRAFT', message });
  refused(/cannot be read/, join(folder, 'missing.pem'), stamping);
  refused(/no certificate in PEM form/, pem('nothing'), stamping);
  refused(/cannot be read/, pem('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'), stamping);
  refused(/does not end with a root/, pem(codeSigningCa), stamping);
  refused(/does not end with a root/, pem(leaf), stamping);
  refused(/certificate 1 was not issued by the one after it/, pem(codeSigningCa, timeStampingCa, root), stamping);
  refused(/does not begin with the time-stamping certificate/, signing, signing);
  refused(/certificate 1 was not issued/, signing, pem(timeStamping, codeSigningCa, root));
});
