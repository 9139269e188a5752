/** A release's signature, certificate chain and timestamp, verified by openssl alone: nobody has to trust our code. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { preAuthEncoding, statementPayloadType } from '@countersign/protocol';
import { createAuthority } from '../../demo/authority.ts';
import { signStatement } from '../../packages/signer/src/code-signing/statement-signer.ts';
import { without } from '../../tools/system-parts.ts';
import { certificateSigner, statementBytes } from '../support/signed-release.ts';

interface BundleJson {
  dsseEnvelope: { payload: string; signatures: [{ sig: string }] };
  verificationMaterial: {
    certificate: { rawBytes: string };
    timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: string }] };
  };
}

for (const rsaBits of [undefined, 3072])
  test(`openssl verifies a bundle by ${rsaBits ? 'RSA' : 'P-256'}`, { skip: without('openssl') }, async () => {
    const authority = await createAuthority(rsaBits);
    const leaf = await authority.certify(undefined, rsaBits ? { rsaBits } : {});
    const time = await authority.serveTime();
    const bundle = JSON.parse(
      (await signStatement(statementBytes(), certificateSigner(leaf, time.url))).toString(),
    ) as BundleJson;
    await time.close();
    const directory = mkdtempSync(join(tmpdir(), 'countersign-openssl-'));
    const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
    const put = (name: string, content: string | Uint8Array): string => {
      writeFileSync(join(directory, name), content);
      return join(directory, name);
    };
    const openssl = (...args: string[]): { status: number | null; output: string } => {
      const run = spawnSync('openssl', args, { encoding: 'utf8' });
      return { status: run.status, output: run.stdout + run.stderr };
    };
    const signed = preAuthEncoding(statementPayloadType, bytes(bundle.dsseEnvelope.payload));
    const message = put('message', signed);
    const signature = bytes(bundle.dsseEnvelope.signatures[0].sig);
    const certificate = put('leaf.der', bytes(bundle.verificationMaterial.certificate.rawBytes));
    const leafPem = put('leaf.pem', openssl('x509', '-inform', 'der', '-in', certificate).output);
    const key = put('key.pem', openssl('x509', '-in', leafPem, '-pubkey', '-noout').output);
    const root = put('root.pem', authority.root.pem);
    const issuing = put('issuing.pem', authority.codeSigningCa.pem);
    const responders = put('responders.pem', authority.timeStamping.pem + authority.timeStampingCa.pem);
    const stamp = put(
      'stamp.tsr',
      bytes(bundle.verificationMaterial.timestampVerificationData.rfc3161Timestamps[0].signedTimestamp),
    );
    const digest = createHash('sha256').update(signature).digest('hex');

    assert.deepEqual(openssl('dgst', '-sha256', '-verify', key, '-signature', put('signature', signature), message), {
      status: 0,
      output: 'Verified OK\n',
    });
    const chain = openssl('verify', '-CAfile', root, '-untrusted', issuing, '-purpose', 'any', leafPem);
    assert.equal(chain.status, 0, chain.output);
    const time1 = openssl('ts', '-verify', '-in', stamp, '-digest', digest, '-CAfile', root, '-untrusted', responders);
    assert.match(time1.output, /Verification: OK/);

    signature[signature.length - 1]! ^= 1;
    assert.notEqual(
      openssl('dgst', '-sha256', '-verify', key, '-signature', put('signature', signature), message).status,
      0,
    );
    const changed = createHash('sha256').update(signature).digest('hex');
    assert.doesNotMatch(
      openssl('ts', '-verify', '-in', stamp, '-digest', changed, '-CAfile', root, '-untrusted', responders).output,
      /Verification: OK/,
    );
  });
