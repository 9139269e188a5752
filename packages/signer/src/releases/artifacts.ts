/**
 * Reads the packed releases of a workspace: `artifacts/<name>/<version>/<platform>.*`, the published files under their published
 * names, and `<platform>.statement.json`, the exact bytes that are code-signed. A release exists when its statement does, which
 * is written last and removed first. Reading trusts nothing: a file must be what the statement says of it.
 */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import {
  messageOf,
  checkStatement,
  codeOf,
  escapeText,
  maximumBundleBytes,
  readBundles,
  readReleaseTexts,
  releasePaths,
  releaseTextsFormat,
  sha256,
  statementFormat,
  type ReleaseBundles,
  type ReleaseName,
  type Statement,
} from '@countersign/protocol';
import { readIfPresent, takeLock, writeFailure } from '@countersign/protocol/node';
import { artifactError } from './artifact-errors.ts';

/** A published file and its place here. */
export interface ArtifactFile {
  /** The TUF target path. */
  readonly path: string;
  readonly file: string;
  readonly length: number;
  readonly sha256: string;
}

export interface Artifact {
  readonly name: ReleaseName;
  readonly statement: Statement;
  readonly statementBytes: Buffer;
  /** sha256 of the statement: how channels and revocations name the release. */
  readonly release: string;
  /** The signed files, without the bundles. */
  readonly files: readonly ArtifactFile[];
  /** The code signatures so far, all over exactly this statement; null before the first. */
  readonly signatures: Signatures | null;
}

const statementName = /^(win32-x64|linux-x64|any)\.statement\.json$/;

export const artifactsFolder = (workspace: string): string => join(resolve(workspace), 'artifacts');

/** The place of a release's published file in the workspace. */
export const artifactFile = (workspace: string, targetPath: string): string =>
  join(artifactsFolder(workspace), ...targetPath.split('/').slice(1));

export const statementFile = (workspace: string, { component, version, platform }: ReleaseName): string =>
  join(artifactsFolder(workspace), component, version, `${platform}.statement.json`);

export const bundlesFile = (workspace: string, { component, version, platform }: ReleaseName): string =>
  artifactFile(workspace, releasePaths(component, version, platform).bundles);

export const releaseWords = ({ component, version, platform }: ReleaseName): string =>
  `${component}@${version}:${platform}`;

/** Every packed release, sorted by its name. */
export function listArtifacts(workspace: string): ReleaseName[] {
  const root = artifactsFolder(workspace);
  const found: ReleaseName[] = [];
  for (const component of namesIn(root))
    for (const version of namesIn(join(root, component)))
      for (const file of namesIn(join(root, component, version))) {
        const platform = statementName.exec(file)?.[1];
        if (platform !== undefined) found.push({ component, version, platform });
      }
  return found;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => !name.startsWith('.'))
      .sort();
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(cause) ?? '')) return [];
    throw artifactError('ARTIFACT_DAMAGED', `listing ${folder}: ${codeOf(cause) ?? 'failed'}`, { cause });
  }
}

/** The release that `NAME@VERSION[:PLATFORM]` names among the packed ones. @throws ARTIFACT_NAME ARTIFACT_MISSING */
export function findArtifact(workspace: string, text: string): ReleaseName {
  const parts = /^([a-z][a-z0-9-]{0,62})@([0-9A-Za-z.-]{1,64})(?::(win32-x64|linux-x64|any))?$/.exec(text);
  if (!parts) throw artifactError('ARTIFACT_NAME', `"${escapeText(text, 200)}" does not name a release`);
  const [, component, version, platform] = parts;
  const found = listArtifacts(workspace).filter(
    (name) =>
      name.component === component &&
      name.version === version &&
      (platform === undefined || name.platform === platform),
  );
  if (found.length > 1)
    throw artifactError('ARTIFACT_NAME', `${text} was packed for ${found.map((name) => name.platform).join(' and ')}`);
  if (!found[0]) throw artifactError('ARTIFACT_MISSING', `${text} has not been packed in ${resolve(workspace)}`);
  return found[0];
}

/**
 * The release with its checked statement; its files are named but not read yet. `known`: its signatures from an earlier read.
 * @throws ARTIFACT_MISSING ARTIFACT_DAMAGED
 */
export function readArtifact(workspace: string, name: ReleaseName, known: Signatures | null = null): Artifact {
  const file = statementFile(workspace, name);
  const statementBytes = readIfPresent(file, statementFormat.maximumBytes);
  if (!statementBytes) throw artifactError('ARTIFACT_MISSING', `${releaseWords(name)} has not been packed: no ${file}`);
  let statement: Statement;
  try {
    statement = statementFormat.parse(statementBytes, file);
    checkStatement(statement, name);
  } catch (cause) {
    throw artifactError('ARTIFACT_DAMAGED', `${file} is not the statement of ${releaseWords(name)}: ${said(cause)}`, {
      cause,
    });
  }
  const signatures = readSignatures(workspace, name, known);
  if (signatures && !signatures.lines[0].statement.equals(statementBytes))
    throw artifactError('ARTIFACT_DAMAGED', `${bundlesFile(workspace, name)} signs another statement than ${file}`, {
      hint: 'one of the two files was replaced: restore both from where the release was signed',
    });
  return {
    name,
    statement,
    statementBytes,
    release: sha256(statementBytes),
    files: statement.subject.map((subject) => ({
      path: subject.name,
      file: artifactFile(workspace, subject.name),
      length: subject.annotations.length,
      sha256: subject.digest.sha256,
    })),
    signatures,
  };
}

export interface Signatures {
  readonly bytes: Buffer;
  readonly lines: ReleaseBundles;
}

/**
 * The bundles of a release, even if its statement is missing; null if nobody signed. Bytes equal to the `known` ones are not read
 * into bundles again.
 * @throws ARTIFACT_DAMAGED
 */
export function readSignatures(
  workspace: string,
  name: ReleaseName,
  known: Signatures | null = null,
): Signatures | null {
  const file = bundlesFile(workspace, name);
  const bytes = readIfPresent(file, maximumBundleBytes);
  if (!bytes) return null;
  if (known?.bytes.equals(bytes)) return known;
  try {
    return { bytes, lines: readBundles(bytes) };
  } catch (cause) {
    throw artifactError('ARTIFACT_DAMAGED', `${file} cannot be read: ${said(cause)}`, {
      cause,
      hint: 'restore the file from where the release was signed, or remove it and have the release signed again',
    });
  }
}

/** Reads every file and compares it with the statement. @throws ARTIFACT_DAMAGED */
export async function verifyArtifact(
  { name, statement, files }: Artifact,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<void> {
  const total = files.reduce((sum, { length }) => sum + length, 0);
  let before = 0;
  for (const { file, length, sha256: expected } of files) {
    const damaged = (what: string, cause?: unknown): Error =>
      artifactError('ARTIFACT_DAMAGED', `${file} of ${releaseWords(name)} ${what}`, { cause });
    const digest = createHash('sha256');
    let size = 0;
    try {
      for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
        digest.update(chunk);
        size += chunk.length;
        if (size > length) break; // too long already: the digest cannot match
        onProgress(before + size, total);
      }
    } catch (cause) {
      throw damaged(`cannot be read: ${codeOf(cause) ?? 'failed'}`, cause);
    }
    if (digest.digest('hex') !== expected) throw damaged('is not what was packed');
    before += length;
  }
  const texts = releasePaths(name.component, name.version, name.platform).texts;
  const file = files.find(({ path }) => path === texts)!.file;
  try {
    readReleaseTexts(statement, readIfPresent(file, releaseTextsFormat.maximumBytes) ?? Buffer.alloc(0));
  } catch (cause) {
    throw artifactError('ARTIFACT_DAMAGED', `${basename(file)} of ${releaseWords(name)}: ${said(cause)}`, { cause });
  }
}

/** Lets one command at a time write artifacts; the system releases the lock when the process dies. @throws ARTIFACT_BUSY */
export function withArtifactLock<T>(workspace: string, work: () => T): T {
  const folder = artifactsFolder(workspace);
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw writeFailure(folder, 'making the folder', cause);
  }
  // The holder is alive and soon done; several signatures at once on a slow machine wait for each other.
  const lock = takeLock(join(folder, '.lock.db'), 60_000);
  if (lock === null) throw artifactError('ARTIFACT_BUSY', `another command writes to ${folder}`);
  try {
    return work();
  } finally {
    lock.release();
  }
}

const said = (cause: unknown): string => escapeText(messageOf(cause), 400);
