/** The code-signing verdict over real certificates and real timestamps: what is accepted, and each way to be refused. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { after, test } from 'node:test';
import * as asn1 from 'asn1js';
import * as pkijs from 'pkijs';
import {
  checkLeaf,
  checkTwoPersons,
  judgeSignatures,
  readBundles,
  type CodesignAuthority,
  type Revocations,
  noRevocations,
} from '@countersign/protocol';
import { createAuthority, vendor } from '../../demo/authority.ts';
import { oids, type CertificateRequest } from '../../demo/certificates.ts';
import { signStatement } from '../../packages/signer/src/code-signing/statement-signer.ts';
import { at, CodeSigningScene } from '../support/code-signing-scene.ts';
import { certificateSigner, releaseName, sampleAuthority, statementBytes } from '../support/signed-release.ts';

const scene = await CodeSigningScene.make();
after(() => scene.time.close());
const { authority, leaf, time, chain, good, judge, tuf, other } = scene;
const bend = scene.bend.bind(scene);
const signBy = scene.signBy.bind(scene);

test('accepts a release signed by the vendor certificate with a timestamp', () => {
  const verdict = judge(good);
  assert.deepEqual(verdict.roles, { vendor: ['vendor'] });
  assert.equal(verdict.signatures[0]!.times.length, 1);
  assert.equal(verdict.statement.predicate.manifest.name, 'remote-support');
});

test('accepts RSA certificates and RSA timestamps with any SHA-2', async () => {
  const rsa = await createAuthority(3072);
  const rsaLeaf = await rsa.certify(vendor, { rsaBits: 3072 });
  for (const digest of ['SHA-256', 'SHA-384', 'SHA-512'] as const) {
    const stamper = await rsa.serveTime({ digest });
    try {
      const bundle = await signStatement(statementBytes(), certificateSigner(rsaLeaf, stamper.url));
      assert.deepEqual(judge(bundle, { authority: sampleAuthority(rsa, rsaLeaf, tuf) }).roles, { vendor: ['vendor'] });
    } finally {
      await stamper.close();
    }
  }
});

test('a timestamp outlives the certificate, and one after its end is refused', async () => {
  const day = 86_400_000;
  const old = await authority.certify(vendor, {
    notBefore: new Date(Date.now() - day * 0.9),
    notAfter: new Date(Date.now() - day * 0.1),
  });
  const then = new Date(Date.now() - day * 0.5);
  const stamper = await authority.serveTime({ clock: () => then });
  try {
    const bundle = await signStatement(statementBytes(), certificateSigner(old, stamper.url), then);
    assert.deepEqual(judge(bundle).roles, { vendor: ['vendor'] });
    await assert.rejects(signStatement(statementBytes(), certificateSigner(old, stamper.url)), {
      code: 'SIGN_CERTIFICATE',
    });
    const late = await signStatement(statementBytes(), certificateSigner(old, time.url), then);
    assert.throws(() => judge(late), { code: 'CODESIGN_THRESHOLD' });
  } finally {
    await stamper.close();
  }
});

const eku = (...list: string[]) => ({ usages: { oids: list, critical: false } });
const unknown = (critical: boolean) =>
  new pkijs.Extension({ extnID: '1.2.3.4', critical, extnValue: new asn1.Null().toBER() });
for (const [what, says, request, subject] of [
  ['a TLS certificate of the same CA', /is not for code signing/, eku(oids.serverAuth), vendor],
  ['another customer of the same CA', /CODESIGN_IDENTITY/, {}, { C: 'XX', O: 'Other Ltd', CN: 'Other Ltd' }],
  ['a CA certificate', /is a CA certificate/, { ca: true }, vendor],
  ['a certificate that may not sign', /is not for digital signatures/, { keyUsageBits: 0x20 }, vendor],
  ['an RSA key of 2048 bits', /has a key of type rsa 2048/, { rsaBits: 2048 }, vendor],
  ['an unknown critical extension', /critical extension 1\.2\.3\.4/, { more: [unknown(true)] }, vendor],
  ['an extension twice', /has extension 1\.2\.3\.4 twice/, { more: [unknown(false), unknown(false)] }, vendor],
  ['two common names', /has CN more than once/, {}, { ...vendor, CN: [vendor.CN, 'Other Ltd'] }],
] as [string, RegExp, Partial<CertificateRequest>, CertificateRequest['subject']][])
  test(`refuses ${what}`, async () => {
    const bundle = await signBy(request, subject);
    assert.throws(() => judge(bundle), { code: 'CODESIGN_THRESHOLD', message: says });
  });

test('accepts a subject with a further attribute that nobody asked about', async () => {
  assert.deepEqual(judge(await signBy({}, { ...vendor, OU: 'x' })).roles, { vendor: ['vendor'] });
});

test('refuses a certificate of another CA with the same names', async () => {
  const twin = await createAuthority();
  const stamper = await twin.serveTime();
  try {
    const bundle = await signStatement(statementBytes(), certificateSigner(await twin.certify(), stamper.url));
    assert.throws(() => judge(bundle), { code: 'CODESIGN_THRESHOLD' });
  } finally {
    await stamper.close();
  }
});

test('refuses a certificate of one authority as an identity of another', () => {
  const split: CodesignAuthority = {
    ...chain,
    authorities: { ...chain.authorities, second: { kind: 'x509', trustedRoot: authority.trustedRoot() } },
    identities: {
      vendor: {
        ...(chain.identities.vendor as { type: 'x509'; issuer: string; subject: Record<string, string> }),
        authority: 'third',
      },
    },
  };
  assert.throws(() => judge(good, { authority: split }), { code: 'CODESIGN_THRESHOLD', message: /CODESIGN_IDENTITY/ });
});

test('refuses a component without a rule, and a statement of another release', () => {
  assert.throws(() => judge(good, { authority: { ...chain, components: { other: chain.components['*']! } } }), {
    code: 'CODESIGN_RULE',
  });
  assert.throws(
    () =>
      judgeSignatures({
        bundles: readBundles(good),
        authority: chain,
        revocations: noRevocations,
        expected: { ...releaseName, version: '1.0.1' },
      }),
    { code: 'RELEASE_STATEMENT' },
  );
});

test('applies revocations of certificates and keys, from their effective time on', () => {
  const { tbs, spki } = checkLeaf(leaf.der);
  const past = '2020-01-01T00:00:00Z';
  const future = '2099-01-01T00:00:00Z';
  const reason = 'stolen';
  for (const [kind, entry] of [
    ['certificates', { tbs }],
    ['keys', { spki }],
  ] as const) {
    const revoked = (more: object): Revocations => ({ ...noRevocations, [kind]: [{ ...entry, reason, ...more }] });
    assert.throws(() => judge(good, { revocations: revoked({}) }), {
      code: 'CODESIGN_THRESHOLD',
      message: /CODESIGN_REVOKED/,
    });
    assert.throws(() => judge(good, { revocations: revoked({ effective: past }) }), { message: /CODESIGN_REVOKED/ });
    assert.deepEqual(judge(good, { revocations: revoked({ effective: future }) }).roles, { vendor: ['vendor'] });
  }
});

test('a pinned key counts where the chain names it, and any revocation of it applies', async () => {
  const bundle = await signStatement(statementBytes(), other.signer);
  assert.throws(() => judge(bundle), { code: 'CODESIGN_THRESHOLD', message: /CODESIGN_IDENTITY/ });
  const pinned = { ...chain, identities: { vendor: { type: 'key' as const, publicKey: other.key } } };
  const verdict = judge(bundle, { authority: pinned });
  assert.deepEqual(verdict.roles, { vendor: ['vendor'] });
  const revoked = {
    ...noRevocations,
    keys: [{ spki: verdict.signatures[0]!.spki, effective: '2099-01-01T00:00:00Z', reason: 'lost' }],
  };
  assert.throws(() => judge(bundle, { authority: pinned, revocations: revoked }), { message: /CODESIGN_REVOKED/ });
  const forged = bend(
    (json) =>
      Object.assign(at(json, 'dsseEnvelope', 'signatures', 0), {
        sig: at(JSON.parse(good.toString()), 'dsseEnvelope', 'signatures', 0).sig,
      }),
    bundle,
  );
  assert.throws(() => judge(forged, { authority: pinned }), { message: /CODESIGN_SIGNATURE/ });
});

test('a bundle that is not believed does not hinder one that is', async () => {
  const stranger = await signStatement(statementBytes(), other.signer);
  assert.deepEqual(judge(Buffer.concat([stranger, good])).roles, { vendor: ['vendor'] });
});

test('two persons stand behind a release, on both sides', () => {
  assert.deepEqual(checkTwoPersons(chain, 'x', [tuf.keyid], ['vendor']), ['alice', 'bob']);
  for (const [keys, identities] of [
    [[], ['vendor']],
    [[tuf.keyid], []],
    [[other.keyid], ['vendor']],
  ] as [string[], string[]][])
    assert.throws(() => checkTwoPersons(chain, 'x', keys, identities), { code: 'CODESIGN_ONE_PERSON' });
  const alone = { ...chain, persons: { alice: { name: 'Alice', keys: [tuf.keyid], identities: ['vendor'] } } };
  assert.throws(() => checkTwoPersons(alone, 'x', [tuf.keyid], ['vendor']), { code: 'CODESIGN_ONE_PERSON' });
});

test('the signer refuses a key that is not the certificate’s, and an authority that answers nonsense', async () => {
  const signer = certificateSigner(leaf, time.url);
  await assert.rejects(signStatement(statementBytes(), { ...signer, publicKey: createPublicKey(other.secret) }), {
    code: 'SIGN_KEY',
  });
  await assert.rejects(signStatement(statementBytes(), { ...signer, timestampUrl: 'http://127.0.0.1:1/' }), {
    code: 'SIGN_TIMESTAMP',
  });
  await assert.rejects(signStatement(statementBytes(), { ...signer, certificates: 'nothing' }), {
    code: 'SIGN_CERTIFICATE',
  });
});
