/** A CA and a time-stamping authority for tests, a release that they signed, and ways to alter and judge it. */
import {
  judgeSignatures,
  readBundles,
  type CodesignAuthority,
  type Revocations,
  noRevocations,
} from '@countersign/protocol';
import { createAuthority, vendor, type Authority } from '../../demo/authority.ts';
import type { CertificateRequest, Issued } from '../../demo/certificates.ts';
import type { TimeStamper } from '../../demo/time-stamping.ts';
import { signStatement } from '../../packages/signer/src/code-signing/statement-signer.ts';
import { certificateSigner, pinnedKey, releaseName, sampleAuthority, statementBytes } from './signed-release.ts';

export type Json = Record<string, never>;
export const at = (value: unknown, ...path: (string | number)[]): Record<string, unknown> =>
  path.reduce((found, key) => (found as Record<string, unknown>)[key] as Record<string, unknown>, value) as Record<
    string,
    unknown
  >;

export class CodeSigningScene {
  /** TUF keys of two people who also own identities. */
  readonly tuf = pinnedKey();
  readonly other = pinnedKey();
  readonly authority: Authority;
  readonly leaf: Issued;
  readonly time: TimeStamper;
  readonly chain: CodesignAuthority;
  /** A bundle that is accepted. */
  readonly good: Buffer;

  private constructor(authority: Authority, leaf: Issued, time: TimeStamper, good: Buffer) {
    this.authority = authority;
    this.leaf = leaf;
    this.time = time;
    this.chain = sampleAuthority(authority, leaf, this.tuf);
    this.good = good;
  }

  static async make(): Promise<CodeSigningScene> {
    const authority = await createAuthority();
    const leaf = await authority.certify();
    const time = await authority.serveTime();
    return new CodeSigningScene(
      authority,
      leaf,
      time,
      await signStatement(statementBytes(), certificateSigner(leaf, time.url)),
    );
  }

  readonly judge = (bundles: Uint8Array, more: { authority?: CodesignAuthority; revocations?: Revocations } = {}) =>
    judgeSignatures({
      bundles: readBundles(bundles),
      authority: this.chain,
      revocations: noRevocations,
      expected: releaseName,
      ...more,
    });

  /** Changes a bundle's JSON in place. */
  bend(change: (bundle: Json) => void, bundle = this.good): Buffer {
    const json = JSON.parse(bundle.toString()) as Json;
    change(json);
    return Buffer.from(`${JSON.stringify(json)}\n`);
  }

  /** Signs with a certificate that our own signer would refuse: takes a good bundle apart and signs its content again. */
  async signBy(request: Partial<CertificateRequest>, subject: CertificateRequest['subject'] = vendor): Promise<Buffer> {
    const bad = await this.authority.certify(subject, request);
    const { DSSEBundleBuilder } = await import('@sigstore/sign');
    const { bundleToJSON } = await import('@sigstore/bundle');
    const { trustedTimestampWitness } =
      await import('../../packages/signer/src/code-signing/trusted-timestamp-witness.ts');
    const signer = certificateSigner(bad, this.time.url);
    const bundle = await new DSSEBundleBuilder({
      signer: {
        sign: async (data) => ({
          signature: Buffer.from(await signer.sign(data)),
          key: { $case: 'x509Certificate', certificate: bad.pem },
        }),
      },
      witnesses: [trustedTimestampWitness(this.time.url)],
    }).create({ type: 'application/vnd.in-toto+json', data: statementBytes() });
    return Buffer.from(`${JSON.stringify(bundleToJSON(bundle))}\n`);
  }
}
