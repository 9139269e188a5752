/**
 * The store: `store/<first 16 hex digits of sha256>/` holds one unpacked archive, never changed once it has its row. Its files'
 * digests stand in the row, so that damage is found. Invariants: a folder gets into the store by one rename of a folder that is
 * complete on the disk; its row is written after that rename is durable; a folder without a row is not in use; a folder with a
 * row is never renamed or written to.
 *
 * Must never keep an archive that no kept generation uses beyond the next collection.
 */
import { Buffer } from 'node:buffer';
import { existsSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, codeOf, timeText, type CountersignError } from '@countersign/protocol';
import {
  makeFolder,
  syncFolder,
  unpackArchive,
  verifyTree,
  writeFailure,
  type UnpackedFile,
} from '@countersign/protocol/node';
import { requireLock, stagingFolder, storeFolder, type Device } from '../device/device.ts';
import { removeTree } from '../platform/removal.ts';
import { engineError } from './engine-errors.ts';

/** A complete file of an archive whose bytes were hashed, somewhere under staging. */
export interface ReadyArchive {
  /** '' is the base. */
  readonly capability: string;
  readonly sha256: string;
  readonly length: number;
  readonly unpacked: number;
  readonly files: number;
  readonly file: string;
}

interface ArchiveRow {
  readonly sha256: string;
  readonly directory: string;
  readonly damaged: string | null;
}

const rowOf = (device: Device, sha256: string): ArchiveRow | undefined =>
  device.database.prepare('SELECT sha256, directory, damaged FROM archive WHERE sha256 = ?').get(sha256) as
    ArchiveRow | undefined;

/** Whether the archive is unpacked and not known to be damaged, so that it need not be fetched. */
export function hasArchive(device: Device, sha256: string): boolean {
  const row = rowOf(device, sha256);
  return row !== undefined && row.damaged === null && existsSync(join(storeFolder(device), row.directory));
}

/** Where the archive is unpacked. */
export const archiveFolder = (device: Device, sha256: string): string =>
  join(storeFolder(device), rowOf(device, sha256)?.directory ?? folderName(sha256));

/** The first 16 digits: short enough for the paths of Windows. */
const folderName = (sha256: string): string => sha256.slice(0, 16);

export function archiveFiles(device: Device, sha256: string): readonly UnpackedFile[] {
  const row = device.database.prepare('SELECT files FROM archive WHERE sha256 = ?').get(sha256) as
    { files: Uint8Array } | undefined;
  return row === undefined ? [] : (JSON.parse(new TextDecoder().decode(row.files)) as UnpackedFile[]);
}

export interface StoreOptions {
  readonly signal?: AbortSignal;
  /** Packed bytes of this archive done so far, and their total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Unpacks a fetched archive into the store and removes the fetched file; false if the store already had it.
 * @throws ARCHIVE_* (refused; nothing is left), STORE_PREFIX_TAKEN, DISK_FULL FILE_WRITE
 */
export async function storeArchive(device: Device, ready: ReadyArchive, options: StoreOptions = {}): Promise<boolean> {
  requireLock(device);
  const missing = !hasArchive(device, ready.sha256);
  if (missing) await unpackIntoStore(device, ready, options);
  removeTree(ready.file);
  return missing;
}

async function unpackIntoStore(device: Device, ready: ReadyArchive, options: StoreOptions): Promise<void> {
  const directory = freeDirectory(device, ready.sha256);
  const into = join(stagingFolder(device), `unpack-${directory}`);
  if (!removeTree(into)) throw writeFailure(into, 'removing', { code: 'EBUSY' });
  try {
    const { files } = await unpackArchive({
      archive: ready.file,
      into,
      expect: { sha256: ready.sha256, length: ready.length, unpacked: ready.unpacked, files: ready.files },
      ...(options.signal && { signal: options.signal }),
      ...(options.onProgress && { onProgress: options.onProgress }),
    });
    await moveIntoStore(into, join(storeFolder(device), directory));
    device.database
      .prepare(
        `INSERT INTO archive (sha256, directory, files, added) VALUES (?, ?, ?, ?)
         ON CONFLICT (sha256) DO UPDATE SET directory = excluded.directory, files = excluded.files, damaged = NULL`,
      )
      .run(ready.sha256, directory, Buffer.from(JSON.stringify(files)), timeText(device.clock()));
  } catch (error) {
    removeTree(into);
    throw error;
  }
}

/**
 * The folder name for an archive. A folder of that name without a row is a leftover and is removed. If it is locked, or a damaged
 * copy is to be replaced, the name gets a suffix.
 */
function freeDirectory(device: Device, sha256: string): string {
  const prefix = folderName(sha256);
  const clash = device.database
    .prepare('SELECT sha256 FROM archive WHERE substr(sha256, 1, 16) = ? AND sha256 <> ?')
    .get(prefix, sha256) as { sha256: string } | undefined;
  if (clash)
    throw engineError('STORE_PREFIX_TAKEN', `archive ${sha256} shares its first 16 digits with ${clash.sha256}`);
  const own = rowOf(device, sha256)?.directory;
  for (let copy = 1; ; copy++) {
    const name = copy === 1 ? prefix : `${prefix}-${copy}`;
    if (name !== own && removeTree(join(storeFolder(device), name))) return name;
  }
}

/** Nothing uses the new folder yet, but a scanner on Windows may hold one of its files for a moment. */
async function moveIntoStore(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      renameSync(from, to);
      break;
    } catch (cause) {
      if (process.platform !== 'win32' || attempt === 100) throw writeFailure(to, 'moving into the store', cause);
      await pause(20 * Math.min(attempt, 10));
    }
  }
  syncFolder(join(to, '..'));
}

/** Reads every file of an unpacked archive again. @throws STORE_DAMAGED; the archive is then marked as damaged */
export async function verifyArchive(device: Device, sha256: string): Promise<void> {
  const folder = archiveFolder(device, sha256);
  try {
    await verifyTree(folder, [...archiveFiles(device, sha256)]);
  } catch (cause) {
    throw reportDamage(device, sha256, cause);
  }
}

/** Marks an archive as damaged, so that it is fetched again. */
export function reportDamage(device: Device, sha256: string, cause: unknown): CountersignError {
  device.database
    .prepare('UPDATE archive SET damaged = ? WHERE sha256 = ? AND damaged IS NULL')
    .run(timeText(device.clock()), sha256);
  const words = messageOf(cause);
  return engineError('STORE_DAMAGED', `store folder ${basename(archiveFolder(device, sha256))}: ${words}`, {
    cause,
    context: { sha256, cause: codeOf(cause) },
  });
}

/** Folders in the store that have a row. */
export const storeDirectories = (device: Device): Set<string> =>
  new Set(
    (device.database.prepare('SELECT directory FROM archive').all() as { directory: string }[]).map(
      ({ directory }) => directory,
    ),
  );

/** Drops the rows of all archives except `used`, inside the caller's transaction; their folders are then not in use. */
export function dropArchives(device: Device, used: readonly string[]): void {
  device.database
    .prepare('DELETE FROM archive WHERE sha256 NOT IN (SELECT value FROM json_each(?))')
    .run(JSON.stringify(used));
}

/** Makes the folder in which a component keeps its own data. It survives updates, rollbacks and removal. */
export function dataFolder(device: Device, component: string): string {
  const folder = join(device.directory, 'data', component);
  makeFolder(folder, { mode: 0o700 });
  return folder;
}
