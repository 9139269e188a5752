/**
 * Downloads the archives of an approved plan, and no others: the base of each release and the capabilities that were granted.
 * Never requests the archive of a refused capability. Checks the disk space before the first byte. What arrived is kept for the
 * next try, also across restarts, and is used only when its whole digest is right.
 */
import { join } from 'node:path';
import {
  shortDigest,
  archivesOf,
  releaseError,
  type DecidedStep,
  type Subject,
  type TargetFile,
} from '@countersign/protocol';
import { download, isComplete, lookUp, makeFolder } from '@countersign/protocol/node';
import { requireLock, type Device } from '../device/device.ts';
import { readSetting } from '../device/settings.ts';
import { downloadsFolder, pruneDownloads } from '../generations/download-folder.ts';
import { readPlan } from '../generations/plans.ts';
import { hasArchive, type ReadyArchive } from '../generations/store.ts';
import { freeBytes } from '../platform/disk.ts';
import { targetUrl } from '../trust/documents.ts';
import { isUnreached, type TrustView } from '../trust/refresh.ts';
import { configuredServers } from '../trust/servers.ts';
import { trustError } from '../trust/trust-errors.ts';
import type { DecidedInstall } from './decided-install.ts';
import type { FetchedArchives } from './install-input.ts';

export interface DownloadProgress {
  readonly done: number;
  readonly total: number;
}

export interface ArchiveFetchOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
}

interface Wanted extends ReadyArchive {
  readonly target: TargetFile;
}

/** Disk space that unpacking takes for each file in addition to its bytes. */
const bytesAFile = 4096;
const marginBytes = 64 << 20;

/**
 * Fetches what the decided steps need and the device does not have. The caller holds the device lock and has asked both verifiers.
 * @throws PLAN_NOT_READY (no agreement of both verifiers) DOWNLOAD_SPACE DOWNLOAD_NOT_LISTED SOURCE_* TUF_* DISK_FULL FILE_WRITE; what arrived is kept
 */
export async function fetchArchives(
  device: Device,
  view: TrustView,
  decided: DecidedInstall,
  { signal, onProgress }: ArchiveFetchOptions = {},
): Promise<FetchedArchives> {
  requireLock(device);
  const { verdict } = readPlan(device, decided.digest);
  if (verdict !== 'agreed')
    throw trustError('PLAN_NOT_READY', `both verifiers have not agreed on plan ${shortDigest(decided.digest)}`);
  const folder = downloadsFolder(device);
  makeFolder(folder);
  const wanted = new Map<string, Wanted[]>();
  for (const step of decided.steps) wanted.set(step.step.component, await wantedOf(device, view, decided, step));
  const missing = new Map(
    [...wanted.values()].flat().flatMap((one) => (hasArchive(device, one.sha256) ? [] : [[one.sha256, one]])),
  );
  pruneDownloads(device, new Set(missing.keys()));
  await checkSpace(device, folder, [...missing.values()]);
  const total = [...missing.values()].reduce((sum, { length }) => sum + length, 0);
  let before = 0;
  for (const one of missing.values()) {
    await fetchOne(device, view, one, {
      ...(signal ? { signal } : {}),
      onProgress: (done) => onProgress?.({ done: before + done, total }),
    });
    before += one.length;
    onProgress?.({ done: before, total });
  }
  return new Map(
    [...wanted].map(([component, archives]) => [
      component,
      archives.filter((one) => missing.has(one.sha256)).map(({ target: _, ...archive }) => archive),
    ]),
  );
}

/** Base and granted capabilities with files, each as trusted metadata lists it now. @throws DOWNLOAD_NOT_LISTED */
async function wantedOf(
  device: Device,
  view: TrustView,
  { statements }: DecidedInstall,
  { step, grants }: DecidedStep,
): Promise<Wanted[]> {
  const known = statements.get(step.component);
  if (step.to === null || known === undefined) return [];
  const granted = new Set(grants.map(({ capability }) => capability));
  const wanted: Wanted[] = [];
  for (const { capability, subject } of archivesOf(known.statement, granted)) {
    const { length, unpacked = 0, files = 0 } = subject.annotations;
    wanted.push({
      capability: capability ?? '',
      sha256: subject.digest.sha256,
      length,
      unpacked,
      files,
      file: join(downloadsFolder(device), subject.digest.sha256),
      target: await findArchive(device, view, subject),
    });
  }
  return wanted;
}

/** The archive as the role lists it: exactly the length and digest that were code-signed. */
async function findArchive(
  device: Device,
  view: TrustView,
  { name, digest, annotations }: Subject,
): Promise<TargetFile> {
  const listed = { path: name, length: annotations.length, sha256: digest.sha256, hashes: digest };
  // What is already unpacked does not need a server; the release may have been withdrawn from the repository.
  if (hasArchive(device, digest.sha256)) return listed;
  const { target } = await lookUp(view.session, name);
  const refused = (): Error =>
    releaseError('DOWNLOAD_NOT_LISTED', `${name} is not listed with the length and digest that were code-signed`);
  if (target === null || target.sha256 !== digest.sha256) throw refused();
  // equivalent: files of one digest have one length
  if (target.length !== annotations.length) throw refused();
  return target;
}

/** Checks, before the first byte, that downloads and unpacked files fit together. @throws DOWNLOAD_SPACE */
async function checkSpace(device: Device, folder: string, wanted: readonly Wanted[]): Promise<void> {
  if (wanted.length === 0) return;
  const needed = wanted.reduce((sum, one) => sum + one.length + one.unpacked + one.files * bytesAFile, marginBytes);
  const free = await freeBytes(folder);
  if (free < needed)
    throw trustError(
      'DOWNLOAD_SPACE',
      `${device.directory} has ${free} bytes free, downloading and unpacking need ${needed}`,
      { context: { free, needed } },
    );
}

/** Fetches one archive: from the server of the poll, then from the others. */
async function fetchOne(
  device: Device,
  { server, connection }: TrustView,
  wanted: Wanted,
  options: { signal?: AbortSignal; onProgress: (done: number) => void },
): Promise<void> {
  const { file, length, sha256: digest, target } = wanted;
  if (await isComplete(file, { length, sha256: digest })) return;
  const others = configuredServers(device).filter(({ url }) => url !== server.url);
  const rate = readSetting(device.database, 'downloadRate');
  for (const [index, from] of [server, ...others].entries()) {
    try {
      await download({
        ...options,
        url: targetUrl(from, target),
        file,
        length,
        sha256: digest,
        dispatcher: connection.dispatcher,
        ...(rate === undefined ? {} : { rate }),
      });
      return;
    } catch (error) {
      const last = index === others.length;
      if (last || !isUnreached(error)) throw error;
      // equivalent: the transfer from the next server would stop too
      if (options.signal?.aborted) throw error;
      device.log({ level: 'warn', event: 'download-failed', server: from.url, file: target.path });
    }
  }
}
