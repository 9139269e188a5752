/** Bundles and trusted roots that are each altered in one place: what the verdict refuses before it trusts anything. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { CodesignAuthority } from '@countersign/protocol';
import { vendor } from '../../demo/authority.ts';
import { issuerText, oids } from '../../demo/certificates.ts';
import { signStatement } from '../../packages/signer/src/code-signing/statement-signer.ts';
import { at, CodeSigningScene } from '../support/code-signing-scene.ts';
import { certificateSigner, statementBytes } from '../support/signed-release.ts';

const scene = await CodeSigningScene.make();
after(() => scene.time.close());
const { authority, leaf, time, chain, good, judge } = scene;
const bend = scene.bend.bind(scene);

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
    const other = await authority.certify(vendor, { usages: { oids: usages, critical: false } });
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

test('no flipped byte in a bundle is ever accepted, nor thrown without a code', () => {
  const expected = judge(good).release;
  assert.equal(issuerText(leaf).includes('Stand-In'), true);
  fc.assert(
    fc.property(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), (index, mask) => {
      const changed = Buffer.from(good);
      changed[index]! ^= mask;
      try {
        // What the library ignores, such as the envelope's key id, is not part of what was signed.
        assert.equal(judge(changed).release, expected);
      } catch (error) {
        assert.match((error as { code: string }).code, /^(CODESIGN|FORMAT|RELEASE)_/);
      }
    }),
    { numRuns: 300 },
  );
});
