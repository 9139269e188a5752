/** Reads or makes the software bill of materials of a release, CycloneDX JSON: the component's own, else a list of its files. */
import { canonicalBytes, codeOf, parseJson, sha256, type Manifest } from '@countersign/protocol';
import { artifactError } from './artifact-errors.ts';

export const maximumSbomBytes = 64 << 20;

export interface ListedFile {
  /** Path in the component folder. */
  readonly path: string;
  readonly sha256: string;
}

/** The bytes unchanged, if they are CycloneDX. @throws PACK_SBOM */
export function readSbom(bytes: Buffer): Buffer {
  let json: unknown;
  try {
    json = parseJson(bytes, 'sbom.cdx.json', maximumSbomBytes);
  } catch (cause) {
    throw artifactError('PACK_SBOM', `sbom.cdx.json is not JSON: ${codeOf(cause) ?? 'failed'}`, { cause });
  }
  const { bomFormat, specVersion } = (json ?? {}) as Record<string, unknown>;
  if (bomFormat !== 'CycloneDX' || typeof specVersion !== 'string' || !/^1\.([4-9]|\d\d)$/.test(specVersion))
    throw artifactError('PACK_SBOM', 'sbom.cdx.json is not CycloneDX 1.4 or later');
  return bytes;
}

/**
 * CycloneDX 1.6 with every file and its digest. It has no time, and its serial number is made from the content, so the same files
 * give the same bytes.
 */
export function makeSbom({ name, version, title }: Manifest, files: readonly ListedFile[]): Buffer {
  const root = `${name}@${version}`;
  const listed = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const body = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { type: 'application', 'bom-ref': root, name, version, description: title.en } },
    components: listed.map(({ path, sha256: content }) => ({
      type: 'file',
      'bom-ref': `${root}/${path}`,
      name: path,
      hashes: [{ alg: 'SHA-256', content }],
    })),
    dependencies: [{ ref: root, dependsOn: listed.map(({ path }) => `${root}/${path}`) }],
  };
  return canonicalBytes({ ...body, serialNumber: `urn:uuid:${uuidOf(sha256(canonicalBytes(body)))}` });
}

/** A UUID of version 8 (RFC 9562 §5.8) from a digest. */
function uuidOf(hex: string): string {
  const variant = '89ab'[parseInt(hex[16]!, 16) % 4]!;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
