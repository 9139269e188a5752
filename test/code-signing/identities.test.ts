/**
 * Whose a signature is: each thing that the codesign chain says of an identity must hold of the certificate, while all others hold.
 * The keyless signature is one of Sigstore's public staging instance (fixtures/vectors/keyless).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import {
  noRevocations,
  readBundles,
  weighSignatures,
  type CodesignAuthority,
  type Identity,
} from '@countersign/protocol';
import { createAuthority, vendor } from '../../demo/authority.ts';
import { issue, issuerText, oids, type CertificateRequest, type Issued } from '../../demo/certificates.ts';
import { signStatement } from '../../packages/signer/src/code-signing/statement-signer.ts';
import { at, CodeSigningScene, type Json } from '../support/code-signing-scene.ts';
import { certificateSigner, pinnedKey, statementBytes } from '../support/signed-release.ts';

type Authorities = CodesignAuthority['authorities'];
type X509Identity = Extract<Identity, { type: 'x509' }>;
type KeylessIdentity = Extract<Identity, { type: 'keyless' }>;

const scene = await CodeSigningScene.make();
after(() => scene.time.close());
const vector = (name: string): Json =>
  JSON.parse(readFileSync(new URL(`../../fixtures/vectors/keyless/${name}`, import.meta.url), 'utf8')) as Json;

/** Whose the signature is by a chain with these authorities and identities; else the code by which it is refused. */
function judge(bundle: Buffer, authorities: Authorities, identities: Record<string, Identity>): string {
  const { signatures, refused } = weighSignatures({
    bundles: readBundles(bundle),
    authority: { ...scene.chain, authorities, identities },
    revocations: noRevocations,
    component: 'any',
  });
  return signatures[0]?.identity ?? / (CODESIGN_[A-Z]+) /.exec(refused[0]!)![1]!;
}

const standin: Authorities = { standin: { kind: 'x509', trustedRoot: scene.authority.trustedRoot() } };
const certificate = scene.chain.identities.vendor as X509Identity;
const byCertificate = (more: Partial<X509Identity>, authorities = standin, bundle = scene.good): string =>
  judge(bundle, authorities, { vendor: { ...certificate, ...more } });

const fulcio: Authorities = { fulcio: { kind: 'keyless', trustedRoot: vector('trusted-root.json') } };
const keylessBundle = Buffer.from(`${JSON.stringify(vector('bundle.json'))}\n`);
const workflow =
  'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main';
const keyless: KeylessIdentity = {
  type: 'keyless',
  authority: 'fulcio',
  issuer: 'https://token.actions.githubusercontent.com',
  san: workflow,
};
const byWorkflow = (more: Partial<KeylessIdentity>, authorities = fulcio): string =>
  judge(keylessBundle, authorities, { workflow: { ...keyless, ...more } });

test('a certificate and a keyless signature are those of whom the chain names', () => {
  assert.equal(byCertificate({}), 'vendor');
  assert.equal(byWorkflow({}), 'workflow');
});

for (const [what, more] of [
  ['another OIDC issuer', { issuer: 'https://gitlab.com' }],
  ['an OIDC issuer that only begins alike', { issuer: `${keyless.issuer}.example` }],
  ['another workflow', { san: workflow.replace('beacon.yml', 'other.yml') }],
  ['the same workflow on another branch', { san: workflow.replace('heads/main', 'heads/topic') }],
  ['the repository of the workflow alone', { san: workflow.split('/.github/')[0]! }],
] as [string, Partial<KeylessIdentity>][])
  test(`refuses a keyless signature as that of ${what}`, () => {
    assert.equal(byWorkflow(more), 'CODESIGN_IDENTITY');
    assert.equal(byWorkflow({}), 'workflow');
  });

test('refuses a keyless signature as one of another authority', () => {
  const two: Authorities = { ...fulcio, other: { kind: 'keyless', trustedRoot: scene.authority.trustedRoot() } };
  assert.equal(byWorkflow({ authority: 'other' }, two), 'CODESIGN_IDENTITY');
  assert.equal(byWorkflow({}, two), 'workflow');
});

test('refuses a certificate that another authority of the chain issued in the same names', async () => {
  const twin = await createAuthority();
  const time = await twin.serveTime();
  try {
    const forged = await signStatement(statementBytes(), certificateSigner(await twin.certify(), time.url));
    const two: Authorities = { ...standin, twin: { kind: 'x509', trustedRoot: twin.trustedRoot() } };
    assert.equal(byCertificate({}, two, forged), 'CODESIGN_IDENTITY');
    assert.equal(byCertificate({ authority: 'twin' }, two, forged), 'vendor');
    assert.equal(byCertificate({}, two), 'vendor');
  } finally {
    await time.close();
  }
});

/** The stand-in authority with one more issuing CA of that name below its root, and what that one certifies for the vendor. */
async function secondIssuer(subject: CertificateRequest['subject']): Promise<{ both: Authorities; leaf: Issued }> {
  const { root } = scene.authority;
  const usages = { oids: [oids.codeSigning], critical: false };
  const issuer = await issue({ subject, issuer: root, ca: true, usages });
  const trustedRoot = structuredClone(scene.authority.trustedRoot());
  const list = trustedRoot.certificateAuthorities as unknown[];
  const more = structuredClone(list[0]);
  at(more, 'certChain', 'certificates', 0).rawBytes = issuer.der.toString('base64');
  list.push(more);
  const leaf = await issue({ subject: vendor, issuer, usages });
  return { both: { standin: { kind: 'x509', trustedRoot } }, leaf };
}

for (const [what, subject] of [
  ['another issuing CA', { O: 'Stand-In Trust Services', CN: 'Stand-In Code Signing CA 2' }],
  [
    'an issuing CA whose organization ends like the other',
    { O: 'Stand-In Trust Services\nCN=Stand-In Code Signing CA' },
  ],
  ['an issuing CA with one more name', { O: 'Stand-In Trust Services', CN: 'Stand-In Code Signing CA', OU: 'Test' }],
  ['an issuing CA with its names in another order', { CN: 'Stand-In Code Signing CA', O: 'Stand-In Trust Services' }],
] as [string, CertificateRequest['subject']][])
  test(`refuses a certificate of the same authority from ${what}`, async () => {
    const { both, leaf } = await secondIssuer(subject);
    const bundle = await signStatement(statementBytes(), certificateSigner(leaf, scene.time.url));
    assert.equal(byCertificate({}, both, bundle), 'CODESIGN_IDENTITY');
    assert.equal(byCertificate({ issuer: issuerText(leaf) }, both, bundle), 'vendor');
    assert.equal(byCertificate({}, both), 'vendor');
  });

for (const name of Object.keys(vendor) as (keyof typeof vendor)[])
  test(`refuses a certificate whose subject has another ${name}, or none`, async () => {
    const { [name]: _, ...without } = vendor;
    for (const subject of [{ ...vendor, [name]: name === 'C' ? 'DE' : 'Other Ltd' }, without])
      assert.equal(byCertificate({}, standin, await scene.signBy({}, subject)), 'CODESIGN_IDENTITY');
    assert.equal(byCertificate({}, standin, await scene.signBy({}, vendor)), 'vendor');
  });

test('refuses a certificate without an attribute that the chain names, whatever it is called', () => {
  for (const name of ['OU', 'serialNumber', 'constructor', 'toString'])
    assert.equal(byCertificate({ subject: { ...vendor, [name]: 'x' } }), 'CODESIGN_IDENTITY', name);
  assert.equal(byCertificate({ subject: { CN: vendor.CN } }), 'vendor');
});

test('a certificate is no identity of another type', () => {
  const pinned = pinnedKey();
  const spki = { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' } as const;
  const ofLeaf = scene.leaf.certificate.subjectPublicKeyInfo.toSchema().toBER();
  const pem = `-----BEGIN PUBLIC KEY-----\n${Buffer.from(ofLeaf).toString('base64')}\n-----END PUBLIC KEY-----\n`;
  for (const identity of [
    { type: 'key', publicKey: { ...spki, keyval: { public: pem } } },
    { type: 'key', publicKey: pinned.key },
    { type: 'keyless', authority: 'standin', issuer: certificate.issuer, san: vendor.CN },
  ] as Identity[])
    assert.equal(judge(scene.good, standin, { other: identity }), 'CODESIGN_IDENTITY', identity.type);
  assert.equal(byCertificate({}), 'vendor');
  const subject = { CN: workflow };
  const asCertificate: Identity = { type: 'x509', authority: 'fulcio', issuer: keyless.issuer, subject };
  assert.equal(judge(keylessBundle, fulcio, { other: asCertificate }), 'CODESIGN_IDENTITY');
  assert.equal(byWorkflow({}), 'workflow');
});

test('among several identities it is the one that fits, wherever it stands', () => {
  const others: Record<string, Identity> = {
    issuer: { ...certificate, issuer: 'O=Other' },
    subject: { ...certificate, subject: { ...vendor, O: 'Other Ltd' } },
    authority: { ...certificate, authority: 'other' },
  };
  assert.equal(judge(scene.good, standin, others), 'CODESIGN_IDENTITY');
  assert.equal(judge(scene.good, standin, { ...others, vendor: certificate }), 'vendor');
});

test('a signature by a pinned key is that of the identity with this key, after a key that cannot be read too', async () => {
  const pinned = pinnedKey();
  const bundle = await signStatement(statementBytes(), pinned.signer);
  const ofKey = (publicKey: (typeof pinned)['key']): Identity => ({ type: 'key', publicKey });
  const unreadable = ofKey({ ...pinned.key, keyval: { public: 'no key' } });
  const other = ofKey(pinnedKey().key);
  assert.equal(judge(bundle, standin, { unreadable, other, pinned: ofKey(pinned.key) }), 'pinned');
  assert.equal(judge(bundle, standin, { unreadable, other }), 'CODESIGN_IDENTITY');
});
