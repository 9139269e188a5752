/**
 * Packs a component folder into the files of a release and its statement. Invariants: the same folder gives the same bytes;
 * every archive is unpacked once as a device does, so that it can be installed and the SBOM lists what is really inside; a
 * release appears in `artifacts/` whole or not at all; what somebody signed is never replaced.
 */
import { mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  checkStatement,
  predicateType,
  releasePaths,
  releaseTextsFormat,
  sha256,
  statementFormat,
  statementType,
  type ReleaseName,
  type Statement,
  type Subject,
} from '@countersign/protocol';
import {
  makeFolder,
  packArchive,
  readIfPresent,
  removeDurable,
  syncFolder,
  unpackArchive,
  writeDurable,
  writeFailure,
} from '@countersign/protocol/node';
import { artifactError } from './artifact-errors.ts';
import {
  artifactsFolder,
  readArtifact,
  readSignatures,
  type Signatures,
  releaseWords,
  statementFile,
  verifyArtifact,
  withArtifactLock,
  type Artifact,
} from './artifacts.ts';
import { checkHookPrograms, readComponentFolder, type ComponentFolder } from './component-folder.ts';
import { makeSbom, type ListedFile } from './sbom.ts';

export interface PackOptions {
  readonly workspace: string;
  readonly folder: string;
  /** What to do if the version was packed before with other contents, unsigned. */
  readonly existing?: 'refuse' | 'replace';
  /** Per archive: unpacked bytes read, and their total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

export interface Packed {
  readonly artifact: Artifact;
  /** unchanged: it was there already, with the same bytes. */
  readonly outcome: 'packed' | 'replaced' | 'unchanged';
}

/** @throws PACK_* ARTIFACT_* ARCHIVE_* RELEASE_MANIFEST RELEASE_STATEMENT FORMAT_* FILE_WRITE DISK_FULL */
export async function packComponent(options: PackOptions): Promise<Packed> {
  const { workspace, existing = 'refuse' } = options;
  const component = readComponentFolder(options.folder);
  const { name, version, platform } = component.manifest;
  const releaseName: ReleaseName = { component: name, version, platform };
  const scratch = makeScratch(workspace);
  try {
    const subjects = await buildFiles(component, scratch, options);
    const statement: Statement = {
      _type: statementType,
      subject: subjects.sort((a, b) => (a.name < b.name ? -1 : 1)),
      predicateType,
      predicate: {
        manifest: component.manifest,
        notes: digestsOf(component.notes),
        terms: digestsOf(component.terms),
      },
    };
    checkStatement(statement, releaseName);
    const bytes = statementFormat.serialize(statement);
    const outcome = withArtifactLock(workspace, () => {
      const signatures = readSignatures(workspace, releaseName);
      const before = compareWithExisting(workspace, releaseName, bytes, signatures, existing);
      place(workspace, releaseName, scratch, bytes, before);
      return {
        signatures,
        word: before === 'absent' ? 'packed' : before === 'other' ? 'replaced' : 'unchanged',
      } as const;
    });
    const artifact = readArtifact(workspace, releaseName, outcome.signatures);
    await verifyArtifact(artifact);
    return { artifact, outcome: outcome.word };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Makes a separate folder on the same disk as the artifacts; removes what killed commands left there over a day ago. */
function makeScratch(workspace: string): string {
  const folder = artifactsFolder(workspace);
  makeFolder(folder);
  try {
    for (const name of readdirSync(folder))
      if (name.startsWith('.packing-') && Date.now() - statSync(join(folder, name)).mtimeMs > 86_400_000)
        rmSync(join(folder, name), { recursive: true, force: true });
    return mkdtempSync(join(folder, '.packing-'));
  } catch (cause) {
    throw writeFailure(folder, 'making a scratch folder in', cause);
  }
}

/** Makes every published file but the bundles in the scratch folder. */
async function buildFiles(
  { manifest, archives, notes, terms, sbom }: ComponentFolder,
  scratch: string,
  { onProgress }: PackOptions,
): Promise<Subject[]> {
  const paths = releasePaths(manifest.name, manifest.version, manifest.platform);
  const subjects: Subject[] = [];
  const listed: ListedFile[] = [];
  for (const { capability, folder } of archives) {
    const path = capability === null ? paths.base : paths.capability(capability);
    const below = capability === null ? 'base' : `capabilities/${capability}`;
    const output = join(scratch, basename(path));
    const packed = await packArchive({
      sourceDir: folder,
      output,
      onProgress: (done, total) => onProgress?.(`${manifest.name} ${below}`, done, total),
    });
    if (capability !== null && packed.files === 0) {
      rmSync(output); // a capability without files has no archive
      continue;
    }
    const into = join(scratch, 'unpacked');
    const { files } = await unpackArchive({ archive: output, into, expect: packed });
    rmSync(into, { recursive: true, force: true });
    if (capability === null) checkHookPrograms(manifest, new Set(files.map((file) => file.path)));
    listed.push(...files.map((file) => ({ path: `${below}/${file.path}`, sha256: file.sha256 })));
    const { unpacked, length } = packed;
    subjects.push({
      name: path,
      digest: { sha256: packed.sha256 },
      annotations: { length, unpacked, files: packed.files },
    });
  }
  const texts = releaseTextsFormat.serialize({ _type: 'https://countersign.dev/release-texts/v1', notes, terms });
  for (const [path, bytes] of [
    [paths.texts, texts],
    [paths.sbom, sbom ?? makeSbom(manifest, listed)],
  ] as const) {
    writeDurable(join(scratch, basename(path)), bytes);
    subjects.push({ name: path, digest: { sha256: sha256(bytes) }, annotations: { length: bytes.length } });
  }
  return subjects;
}

const digestsOf = (texts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).map(([locale, text]) => [locale, sha256(text)]));

type Existing = 'absent' | 'same' | 'other';

/** Compares with what exists of this version. @throws ARTIFACT_SIGNED ARTIFACT_EXISTS ARTIFACT_DAMAGED */
function compareWithExisting(
  workspace: string,
  name: ReleaseName,
  statement: Buffer,
  signed: Signatures | null,
  existing: 'refuse' | 'replace',
): Existing {
  if (signed && !signed.lines[0].statement.equals(statement))
    throw artifactError('ARTIFACT_SIGNED', `${releaseWords(name)} was signed with other contents`);
  const before = readIfPresent(statementFile(workspace, name), statementFormat.maximumBytes);
  if (before === undefined) return 'absent';
  if (before.equals(statement)) return 'same';
  if (existing === 'refuse')
    throw artifactError('ARTIFACT_EXISTS', `${releaseWords(name)} was packed with other contents`);
  return 'other';
}

/** Moves the files in; an old statement is removed first, the new one comes last. */
function place(workspace: string, name: ReleaseName, scratch: string, statement: Buffer, before: Existing): void {
  const file = statementFile(workspace, name);
  const folder = dirname(file);
  makeFolder(folder);
  if (before === 'other') removeDurable(file);
  const made = readdirSync(scratch);
  try {
    if (before === 'other') {
      const stale = readdirSync(folder).filter((old) => old.startsWith(`${name.platform}.`) && !made.includes(old));
      for (const old of stale) rmSync(join(folder, old));
    }
    for (const file of made) renameSync(join(scratch, file), join(folder, file));
  } catch (cause) {
    throw writeFailure(folder, 'moving the packed files into', cause);
  }
  syncFolder(folder);
  if (before !== 'same') writeDurable(file, statement);
}
