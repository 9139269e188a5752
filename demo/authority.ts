/**
 * The demo's stand-ins for a commercial certificate authority and its time-stamping service: a root, an issuing CA for code signing
 * with one customer, and a time-stamping chain. As a program, `node demo/authority.ts --dir DIR` writes them to DIR, prints one JSON
 * line with the URL of the time-stamping service, and serves until it is told to stop. Never for anything real.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { issue, oids, type CertificateRequest, type Issued } from './certificates.ts';
import { startTimeStamping, type TimeStamper, type TimeStampOptions } from './time-stamping.ts';

export interface Authority {
  readonly root: Issued;
  readonly codeSigningCa: Issued;
  readonly timeStampingCa: Issued;
  readonly timeStamping: Issued;
  /** A code-signing certificate for a customer; `more` alters it, for tests. */
  certify(subject?: CertificateRequest['subject'], more?: Partial<CertificateRequest>): Promise<Issued>;
  /** Sigstore's trusted root for this authority. */
  trustedRoot(): Record<string, unknown>;
  serveTime(options?: Partial<TimeStampOptions>): Promise<TimeStamper>;
}

export const vendor = { C: 'CH', O: 'Example Instruments AG', CN: 'Example Instruments AG' } as const;
const ours = 'Stand-In Trust Services';

export async function createAuthority(rsaBits?: number): Promise<Authority> {
  const size = rsaBits === undefined ? {} : { rsaBits };
  const root = await issue({ subject: { O: ours, CN: 'Stand-In Root' }, ca: true, ...size });
  const issuingCa = (CN: string, usage: string): Promise<Issued> =>
    issue({ subject: { O: ours, CN }, issuer: root, ca: true, usages: { oids: [usage], critical: false }, ...size });
  const codeSigningCa = await issuingCa('Stand-In Code Signing CA', oids.codeSigning);
  const timeStampingCa = await issuingCa('Stand-In Time Stamping CA', oids.timeStamping);
  const timeStamping = await issue({
    subject: { O: ours, CN: 'Stand-In Time Stamping Responder' },
    issuer: timeStampingCa,
    usages: { oids: [oids.timeStamping], critical: true },
    notAfter: new Date(Math.floor(Date.now() / 1000 + 9 * 365 * 86_400) * 1000),
    ...size,
  });
  const chain = (...certificates: Issued[]) => ({
    subject: { organization: ours, commonName: 'stand-in' },
    uri: 'https://standin.example',
    certChain: { certificates: certificates.map(({ der }) => ({ rawBytes: der.toString('base64') })) },
    validFor: { start: root.certificate.notBefore.value.toISOString() },
  });
  return {
    root,
    codeSigningCa,
    timeStampingCa,
    timeStamping,
    certify: (subject = vendor, more = {}) =>
      issue({ subject, issuer: codeSigningCa, usages: { oids: [oids.codeSigning], critical: false }, ...more }),
    trustedRoot: () => ({
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [],
      ctlogs: [],
      certificateAuthorities: [chain(codeSigningCa, root)],
      timestampAuthorities: [chain(timeStamping, timeStampingCa, root)],
    }),
    serveTime: (options = {}) => startTimeStamping({ signer: timeStamping, chain: [timeStampingCa], ...options }),
  };
}

/** Writes what a vendor gets from its CA: certificate and key, and the certificates above it and of its time-stamping service. */
export async function writeAuthority(directory: string, authority: Authority): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const leaf = await authority.certify();
  const write = (name: string, text: string, mode = 0o644): void =>
    writeFileSync(join(directory, name), text, { mode });
  write('code-signing.pem', leaf.pem + authority.codeSigningCa.pem);
  write('code-signing-key.pem', leaf.key.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
  write('code-signing-ca.pem', authority.codeSigningCa.pem + authority.root.pem);
  write('time-stamping.pem', authority.timeStamping.pem + authority.timeStampingCa.pem + authority.root.pem);
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { dir: { type: 'string' } } });
  if (values.dir === undefined) {
    console.error('usage: node demo/authority.ts --dir DIR');
    process.exit(2);
  }
  const authority = await createAuthority();
  await writeAuthority(values.dir, authority);
  const time = await authority.serveTime();
  console.log(JSON.stringify({ timestampUrl: time.url, directory: values.dir }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void time.close());
}
