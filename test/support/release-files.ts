/** Makes the published files of one release in memory, with its statement and bundles; a test can alter every part. */
import {
  canonicalBytes,
  predicateType,
  releasePaths,
  releaseTextsFormat,
  sha256,
  statementType,
  type Capability,
  type Manifest,
} from '@countersign/protocol';
import { bundleLine, type TestKey } from './signing-keys.ts';

/** An archive's bytes and what they unpack to. */
export interface TestArchive {
  readonly bytes: Buffer;
  readonly unpacked: number;
  readonly files: number;
}

export interface ReleaseOptions {
  readonly name: string;
  readonly version: string;
  readonly platform?: Manifest['platform'];
  readonly requires?: Record<string, string>;
  readonly models?: string[];
  readonly hooks?: Manifest['hooks'];
  readonly rollback?: Manifest['rollback'];
  readonly capabilities?: readonly (Partial<Omit<Capability, 'id'>> & { id: string; archive?: TestArchive })[];
  readonly base?: TestArchive;
  readonly notes?: Record<string, string>;
  readonly terms?: { version: string; texts: Record<string, string> };
  /** Alters the statement before it is signed. */
  readonly bend?: (statement: Record<string, unknown>) => void;
}

export interface ReleaseFiles {
  readonly manifest: Manifest;
  readonly statement: Buffer;
  /** sha256 of the statement. */
  readonly release: string;
  /** By target path, including the bundles. */
  readonly files: Map<string, Buffer>;
}

const opaque = (name: string): TestArchive => {
  const bytes = Buffer.from(`archive of ${name}`);
  return { bytes, unpacked: bytes.length, files: 1 };
};

export function makeRelease(options: ReleaseOptions, signers: readonly TestKey[]): ReleaseFiles {
  const { name, version, platform = 'any' } = options;
  const manifest: Manifest = {
    name,
    version,
    platform,
    title: { en: name },
    requires: options.requires ?? {},
    models: options.models ?? ['*'],
    capabilities: (options.capabilities ?? []).map(({ archive: _, ...capability }) => ({
      contract: 1,
      risk: 'standard',
      required: false,
      scope: {},
      title: { en: capability.id },
      description: { en: `what ${capability.id} does` },
      ...capability,
    })),
    hooks: options.hooks ?? {},
    rollback: options.rollback ?? 'safe',
    ...(options.terms ? { terms: { version: options.terms.version } } : {}),
  };
  const paths = releasePaths(name, version, platform);
  const texts = { notes: options.notes ?? { en: `${name} ${version}` }, terms: options.terms?.texts ?? {} };
  const files = new Map<string, Buffer>();
  const archives = new Map<string, TestArchive>([[paths.base, options.base ?? opaque(`${name} ${version}`)]]);
  for (const { id, archive } of options.capabilities ?? []) if (archive) archives.set(paths.capability(id), archive);
  for (const [path, { bytes }] of archives) files.set(path, bytes);
  files.set(paths.sbom, Buffer.from(JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 })));
  files.set(paths.texts, releaseTextsFormat.serialize({ _type: 'https://countersign.dev/release-texts/v1', ...texts }));
  const digests = (text: Record<string, string>) =>
    Object.fromEntries(Object.entries(text).map(([language, words]) => [language, sha256(words)]));
  const statement: Record<string, unknown> = {
    _type: statementType,
    subject: [...files]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([path, bytes]) => {
        const archive = archives.get(path);
        return {
          name: path,
          digest: { sha256: sha256(bytes) },
          annotations: {
            length: bytes.length,
            ...(archive ? { unpacked: archive.unpacked, files: archive.files } : {}),
          },
        };
      }),
    predicateType,
    predicate: { manifest: structuredClone(manifest), notes: digests(texts.notes), terms: digests(texts.terms) },
  };
  options.bend?.(statement);
  const bytes = canonicalBytes(statement);
  files.set(paths.bundles, Buffer.from(signers.map((key) => bundleLine(bytes, key)).join('')));
  return { manifest, statement: bytes, release: sha256(bytes), files };
}
