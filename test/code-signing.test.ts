/** The code-signing verdict over real certificates and real timestamps: what is accepted, and each way to be refused. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { after, before, test } from 'node:test';
import * as asn1 from 'asn1js';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import {
  checkLeaf,
  checkTwoPersons,
  judgeRelease,
  type CodesignAuthority,
  type Revocations,
} from '@countersign/protocol';
import { createAuthority, vendor, type Authority } from '../demo/authority.ts';
import { issuerText, oids, type CertificateRequest, type Issued } from '../demo/certificates.ts';
import type { TimeStamper } from '../demo/time-stamping.ts';
import { signStatement } from '../packages/signer/src/code-signing/statement-signer.ts';
import {
  certificateSigner,
  noRevocations,
  pinnedKey,
  releaseName,
  sampleAuthority,
  statementBytes,
} from './support/signed-release.ts';

let authority: Authority;
let leaf: Issued;
let time: TimeStamper;
let chain: CodesignAuthority;
let good: Buffer;
const tuf = pinnedKey();
const other = pinnedKey();

before(async () => {
  authority = await createAuthority();
  leaf = await authority.certify();
  time = await authority.serveTime();
  chain = sampleAuthority(authority, leaf, tuf);
  good = await signStatement(statementBytes(), certificateSigner(leaf, time.url));
});
after(() => time.close());

const judge = (bundles: Uint8Array, more: { authority?: CodesignAuthority; revocations?: Revocations } = {}) =>
  judgeRelease({ bundles, authority: chain, revocations: noRevocations, expected: releaseName, ...more });
/** Changes a bundle's JSON in place. */
function bend(change: (bundle: Record<string, never>) => void, bundle = good): Buffer {
  const json = JSON.parse(bundle.toString()) as Record<string, never>;
  change(json);
  return Buffer.from(`${JSON.stringify(json)}\n`);
}
const at = (value: unknown, ...path: (string | number)[]): Record<string, unknown> =>
  path.reduce((found, key) => (found as Record<string, unknown>)[key] as Record<string, unknown>, value) as Record<
    string,
    unknown
  >;

/** Signs with a certificate that our own signer would refuse: takes a good bundle apart and signs its content anew. */
async function signBy(
  request: Partial<CertificateRequest>,
  subject: CertificateRequest['subject'] = vendor,
): Promise<Buffer> {
  const bad = await authority.certify(subject, request);
  const { DSSEBundleBuilder } = await import('@sigstore/sign');
  const { bundleToJSON } = await import('@sigstore/bundle');
  const { timestampWitness } = await import('../packages/signer/src/code-signing/timestamp-witness.ts');
  const signer = certificateSigner(bad, time.url);
  const bundle = await new DSSEBundleBuilder({
    signer: {
      sign: async (data) => ({
        signature: Buffer.from(await signer.sign(data)),
        key: { $case: 'x509Certificate', certificate: bad.pem },
      }),
    },
    witnesses: [timestampWitness(time.url)],
  }).create({ type: 'application/vnd.in-toto+json', data: statementBytes() });
  return Buffer.from(`${JSON.stringify(bundleToJSON(bundle))}\n`);
}

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

for (const [what, says, change] of [
  [
    'an older media type',
    /not a Sigstore v0\.3 bundle/,
    (bundle) => Object.assign(bundle, { mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.2' }),
  ],
  [
    'another payload type',
    /something else than an in-toto statement/,
    (bundle) => Object.assign(at(bundle, 'dsseEnvelope'), { payloadType: 'text/plain' }),
  ],
  [
    'a second signature',
    /not a valid Sigstore bundle/,
    (bundle) => (at(bundle, 'dsseEnvelope').signatures as unknown[]).push(at(bundle, 'dsseEnvelope', 'signatures', 0)),
  ],
  [
    'a signature over bytes instead of an envelope',
    /is not a DSSE bundle/,
    (bundle) => {
      const { dsseEnvelope, ...rest } = bundle as unknown as Record<string, unknown>;
      assert.ok(dsseEnvelope);
      for (const name of Object.keys(bundle)) delete (bundle as Record<string, unknown>)[name];
      const messageDigest = { algorithm: 'SHA2_256', digest: Buffer.alloc(32).toString('base64') };
      Object.assign(bundle, rest, { messageSignature: { messageDigest, signature: 'AAAA' } });
    },
  ],
  [
    'no envelope',
    /not a (DSSE|valid Sigstore) bundle/,
    (bundle) => delete (bundle as Record<string, unknown>).dsseEnvelope,
  ],
  [
    'a certificate chain',
    /neither by one certificate nor by a key|not a valid Sigstore bundle/,
    (bundle) => {
      const material = at(bundle, 'verificationMaterial');
      material.x509CertificateChain = { certificates: [material.certificate] };
      delete material.certificate;
    },
  ],
] as [string, RegExp, (bundle: Record<string, never>) => void][])
  test(`refuses a bundle with ${what}`, () =>
    assert.throws(() => judge(bend(change)), { code: 'CODESIGN_BUNDLE', message: says }));

test('refuses a bundle without a timestamp, with an ungranted one, or with one of another signature', async () => {
  const without = bend((bundle) =>
    Object.assign(at(bundle, 'verificationMaterial'), { timestampVerificationData: { rfc3161Timestamps: [] } }),
  );
  assert.throws(() => judge(without), { code: 'CODESIGN_THRESHOLD', message: /CODESIGN_TIMESTAMP/ });
  const refusing = await authority.serveTime({ status: 2 });
  try {
    await assert.rejects(signStatement(statementBytes(), certificateSigner(leaf, refusing.url)), {
      code: 'SIGN_TIMESTAMP',
    });
  } finally {
    await refusing.close();
  }
  const twin = await signStatement(statementBytes(), certificateSigner(leaf, time.url));
  const swapped = bend((bundle) =>
    Object.assign(at(bundle, 'verificationMaterial'), {
      timestampVerificationData: at(JSON.parse(twin.toString()), 'verificationMaterial', 'timestampVerificationData'),
    }),
  );
  assert.throws(() => judge(swapped), { code: 'CODESIGN_THRESHOLD' });
});

test('refuses a log entry beside a CA certificate, and too many timestamps', () => {
  const logged = bend((bundle) => {
    at(bundle, 'verificationMaterial').tlogEntries = [
      {
        logIndex: '1',
        logId: { keyId: 'AAAA' },
        kindVersion: { kind: 'dsse', version: '0.0.1' },
        integratedTime: '1',
        inclusionPromise: { signedEntryTimestamp: 'AAAA' },
        inclusionProof: {
          logIndex: '1',
          rootHash: 'AAAA',
          treeSize: '2',
          hashes: ['AAAA'],
          checkpoint: { envelope: 'x' },
        },
        canonicalizedBody: 'e30=',
      },
    ];
  });
  assert.throws(() => judge(logged), { code: 'CODESIGN_THRESHOLD', message: /log entry beside a CA certificate/ });
  const doubled = bend((bundle) => {
    const data = at(bundle, 'verificationMaterial', 'timestampVerificationData');
    data.rfc3161Timestamps = Array.from({ length: 9 }, () => (data.rfc3161Timestamps as unknown[])[0]);
  });
  assert.throws(() => judge(doubled), { code: 'CODESIGN_BUNDLE' });
  const twice = bend((bundle) => {
    const data = at(bundle, 'verificationMaterial', 'timestampVerificationData');
    data.rfc3161Timestamps = [(data.rfc3161Timestamps as unknown[])[0], (data.rfc3161Timestamps as unknown[])[0]];
  });
  assert.throws(() => judge(twice), { code: 'CODESIGN_THRESHOLD' });
});

test('refuses bundles that sign different statements, an unfinished line, too many and too much', async () => {
  const second = await signStatement(
    statementBytes((statement) => void (statement.subject[0]!.annotations.length = 101)),
    certificateSigner(leaf, time.url),
  );
  assert.throws(() => judge(Buffer.concat([good, second])), { code: 'CODESIGN_STATEMENTS_DIFFER' });
  const refused = (file: Buffer, message: RegExp): void =>
    assert.throws(() => judge(file), { code: 'CODESIGN_BUNDLE', message });
  refused(good.subarray(0, -1), /does not end with a newline/);
  refused(Buffer.alloc(0), /does not end with a newline/);
  refused(Buffer.concat(Array.from({ length: 17 }, () => good)), /more than 16 bundles/);
  refused(Buffer.alloc((1 << 20) + 1, 0x0a), /bytes, allowed are/);
});

test('refuses a component without a rule, and a statement of another release', () => {
  assert.throws(() => judge(good, { authority: { ...chain, components: { other: chain.components['*']! } } }), {
    code: 'CODESIGN_RULE',
  });
  assert.throws(
    () =>
      judgeRelease({
        bundles: good,
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

test('refuses a trusted root that is not strict: without a start of validity, without certificates, with others', async () => {
  const refused = (message: RegExp, change: (root: Record<string, never>) => void): void => {
    const json = structuredClone(authority.trustedRoot()) as Record<string, never>;
    change(json);
    const bent: CodesignAuthority = { ...chain, authorities: { standin: { kind: 'x509', trustedRoot: json } } };
    assert.throws(() => judge(good, { authority: bent }), { code: 'CODESIGN_TRUST', message });
  };
  for (const list of ['certificateAuthorities', 'timestampAuthorities']) {
    refused(/an authority without validFor\.start/, (json) => delete at(json, list, 0).validFor);
    refused(/an authority without certificates/, (json) => (at(json, list, 0, 'certChain').certificates = []));
    refused(/an authority without certificates/, (json) => delete at(json, list, 0).certChain);
  }
  for (const list of ['tlogs', 'ctlogs'])
    refused(/a log key without validFor\.start/, (json) => {
      const publicKey = { rawBytes: 'AAAA', keyDetails: 'PKIX_ECDSA_P256_SHA_256' };
      (json as Record<string, unknown>)[list] = [
        { baseUrl: 'https://log.example', hashAlgorithm: 'SHA2_256', publicKey, logId: { keyId: 'AAAA' } },
      ];
    });
  for (const usages of [[oids.timeStamping, oids.codeSigning], [oids.codeSigning]]) {
    const other = await authority.certify(vendor, eku(...usages));
    refused(/not for time-stamping alone/, (json) => {
      const leaf = at(json, 'timestampAuthorities', 0, 'certChain', 'certificates', 0);
      leaf.rawBytes = other.der.toString('base64');
    });
  }
  refused(/cannot be read/, (json) => {
    at(json, 'timestampAuthorities', 0, 'certChain', 'certificates', 0).rawBytes = 'AAAA';
  });
});

test('refuses a timestamp that says that it was not granted, though its token is good', () => {
  const status = (value: number): Buffer =>
    bend((bundle) => {
      const stamp = at(bundle, 'verificationMaterial', 'timestampVerificationData', 'rfc3161Timestamps', 0);
      const response = Buffer.from(stamp.signedTimestamp as string, 'base64');
      const integer = response.indexOf(Buffer.from([0x02, 0x01, 0x00]));
      assert.ok(integer > 0 && integer < 12);
      response[integer + 2] = value;
      stamp.signedTimestamp = response.toString('base64');
    });
  assert.deepEqual(judge(status(1)).roles, { vendor: ['vendor'] });
  assert.throws(() => judge(status(2)), { code: 'CODESIGN_THRESHOLD', message: /timestamp has status 2/ });
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

test('no flipped byte in a bundle is ever accepted, nor thrown without a code', () => {
  const expected = judge(good).release;
  assert.equal(issuerText(leaf).includes('Stand-In'), true);
  fc.assert(
    fc.property(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), (index, mask) => {
      const changed = Buffer.from(good);
      changed[index]! ^= mask;
      try {
        // What the library passes over, such as the envelope's key id, is not part of what was signed.
        assert.equal(judge(changed).release, expected);
      } catch (error) {
        assert.match((error as { code: string }).code, /^(CODESIGN|FORMAT|RELEASE)_/);
      }
    }),
    { numRuns: 300 },
  );
});
