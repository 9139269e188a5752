/** A statement, a codesign chain body and people, for tests of the code-signing verdict. */
import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import {
  codesignType,
  keyIdOf,
  predicateType,
  releasePaths,
  sha256,
  statementFormat,
  statementType,
  type CodesignAuthority,
  type Manifest,
  type PublicKey,
  type Statement,
} from '@countersign/protocol';
import { vendor, type Authority } from '../../demo/authority.ts';
import { issuerText, type Issued } from '../../demo/certificates.ts';
import type { CertificateSigner, KeySigner } from '../../packages/signer/src/code-signing/statement-signer.ts';

export interface PinnedKey {
  readonly key: PublicKey;
  readonly keyid: string;
  readonly secret: KeyObject;
  readonly signer: KeySigner;
}

export function pinnedKey(): PinnedKey {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: pair.publicKey.export({ type: 'spki', format: 'pem' }) },
  };
  const signer: KeySigner = { kind: 'key', publicKey: key, sign: (bytes) => sign('sha256', bytes, pair.privateKey) };
  return { key, keyid: keyIdOf(key), secret: pair.privateKey, signer };
}

export const certificateSigner = (leaf: Issued, timestampUrl: string): CertificateSigner => ({
  kind: 'certificate',
  certificates: leaf.pem,
  publicKey: createPublicKey(leaf.key),
  sign: (bytes) => sign('sha256', bytes, leaf.key),
  timestampUrl,
});

export const releaseName = { component: 'remote-support', version: '1.0.0', platform: 'any' } as const;

const manifest: Manifest = {
  name: releaseName.component,
  version: releaseName.version,
  platform: releaseName.platform,
  title: { en: 'Remote Support' },
  requires: {},
  models: ['*'],
  capabilities: [],
  hooks: {},
  rollback: 'safe',
};

export function sampleStatement(change: (statement: Statement) => void = () => {}): Statement {
  const paths = releasePaths(manifest.name, manifest.version, manifest.platform);
  const subject = (name: string, more = {}) => ({
    name,
    digest: { sha256: sha256(name) },
    annotations: { length: 100, ...more },
  });
  const statement: Statement = {
    _type: statementType,
    subject: [subject(paths.base, { unpacked: 1000, files: 3 }), subject(paths.sbom), subject(paths.texts)],
    predicateType,
    predicate: { manifest: structuredClone(manifest), notes: {}, terms: {} },
  };
  change(statement);
  return statement;
}

export const statementBytes = (change?: (statement: Statement) => void): Buffer =>
  statementFormat.serialize(sampleStatement(change));

/** A chain with one role, which asks for the vendor's certificate, and the persons Alice (TUF key) and Bob (certificate). */
export function sampleAuthority(
  authority: Authority,
  leaf: Issued,
  tuf: PinnedKey,
  more: Partial<CodesignAuthority> = {},
): CodesignAuthority {
  return {
    _type: codesignType,
    version: 1,
    issued: '2026-01-01T00:00:00Z',
    signers: { keys: { [tuf.keyid]: tuf.key }, threshold: 1 },
    authorities: { standin: { kind: 'x509', trustedRoot: authority.trustedRoot() } },
    identities: { vendor: { type: 'x509', authority: 'standin', issuer: issuerText(leaf), subject: { ...vendor } } },
    persons: {
      alice: { name: 'Alice', keys: [tuf.keyid], identities: [] },
      bob: { name: 'Bob', keys: [], identities: ['vendor'] },
    },
    components: { '*': [{ role: 'vendor', identities: ['vendor'], threshold: 1 }] },
    ...more,
  };
}
