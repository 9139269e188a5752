/**
 * Defines what an archive may contain, by name and by size: the same rules for the signer that packs and the device that unpacks.
 * A tree that passes is the same on Windows and Linux and on file systems with and without case, and fits plain ustar headers.
 * Pure: it judges names and numbers, never files.
 *
 * Must never repair a name: what does not pass is refused.
 */
import { escapeText } from '../unsafe-text.ts';
import { archiveError } from './archive-errors.ts';

export const archiveLimits = {
  files: 100_000,
  /** Characters of one path; all are ASCII, so bytes too. */
  path: 120,
  /** Characters of one segment: the name field of a ustar header, so that no extended header is ever needed. */
  segment: 100,
  depth: 32,
  /** The largest size that a ustar header can hold. */
  fileBytes: 8 * 2 ** 30 - 1,
  unpackedBytes: 2 ** 40,
  /** Unpacked bytes for each packed byte; applies above `ratioFloor` unpacked bytes. */
  ratio: 2000,
  ratioFloor: 64 * 2 ** 20,
  /** The zstd window: how much memory one frame may make the device allocate. */
  windowBytes: 128 * 2 ** 20,
} as const;

/** At least one character, so that neither an absolute path nor `a//b` passes. */
const segmentCharacters = /^[A-Za-z0-9._+@ -]+$/;
/** Windows opens the device even when an extension or spaces follow. */
const reserved = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9]) *(?:\.|$)/i;

/**
 * Checks one path inside an archive: relative, `/` between segments, no trailing `/`.
 * @throws ARCHIVE_NAME ARCHIVE_LIMIT
 */
export function checkArchivePath(path: string): void {
  const refuse = (why: string) => archiveError('ARCHIVE_NAME', `the name "${escapeText(path, 200)}" ${why}`);
  if (path.length > archiveLimits.path)
    throw refuse(`has ${path.length} characters, allowed are ${archiveLimits.path}`);
  const segments = path.split('/');
  if (segments.length > archiveLimits.depth)
    throw archiveError(
      'ARCHIVE_LIMIT',
      `"${escapeText(path, 200)}" lies ${segments.length} levels deep, allowed are ${archiveLimits.depth}`,
    );
  for (const segment of segments) {
    if (!segmentCharacters.test(segment))
      throw refuse('is absolute, has an empty segment, or a character other than A-Z a-z 0-9 . _ + @ space -');
    if (segment.length > archiveLimits.segment)
      throw refuse(`has a segment of ${segment.length} characters, allowed are ${archiveLimits.segment}`);
    // Windows drops trailing dots and spaces. This also refuses `.` and `..`.
    if (segment.endsWith('.') || segment.endsWith(' ')) throw refuse('has a segment that ends in a dot or a space');
    if (reserved.test(segment)) throw refuse('has a segment that Windows reserves for a device');
  }
}

/** The names of one archive so far; refuses those that could not stand beside each other. */
export class ArchiveNames {
  readonly #kinds = new Map<string, { readonly path: string; readonly kind: 'file' | 'folder' }>();
  #files = 0;

  get files(): number {
    return this.#files;
  }

  /** @throws ARCHIVE_NAME ARCHIVE_LIMIT ARCHIVE_COLLISION */
  addFile(path: string): void {
    checkArchivePath(path);
    this.#files += 1;
    if (this.#files > archiveLimits.files)
      throw archiveError('ARCHIVE_LIMIT', `more than ${archiveLimits.files} files, the first too many is "${path}"`);
    this.#addFolders(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    const other = this.#kinds.get(path.toLowerCase());
    if (other !== undefined) throw collision(path, other.path);
    this.#kinds.set(path.toLowerCase(), { path, kind: 'file' });
  }

  /** A folder may be named again; the folders above a file are added by themselves. @throws as addFile */
  addFolder(path: string): void {
    checkArchivePath(path);
    this.#addFolders(path);
  }

  #addFolders(path: string): void {
    for (let folder = path; folder !== ''; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
      const other = this.#kinds.get(folder.toLowerCase());
      if (other !== undefined) {
        if (other.kind === 'file' || other.path !== folder) throw collision(folder, other.path);
        return; // the folders above it were added with it
      }
      this.#kinds.set(folder.toLowerCase(), { path: folder, kind: 'folder' });
      // Limits how large folder entries alone can make this map.
      if (this.#kinds.size > archiveLimits.files * 2)
        throw archiveError('ARCHIVE_LIMIT', `more than ${archiveLimits.files * 2} files and folders`);
    }
  }
}

const collision = (path: string, other: string) =>
  archiveError('ARCHIVE_COLLISION', `"${path}" and "${other}" cannot both exist where case is ignored`);

export interface ArchiveTotals {
  /** Bytes of the archive itself. */
  readonly length: number;
  /** Sum of its files' bytes. */
  readonly unpacked: number;
  readonly files: number;
}

/**
 * Checks an archive's numbers before anything is unpacked: when packing, those that were made; on the device, those declared.
 * @throws ARCHIVE_LIMIT
 */
export function checkArchiveTotals({ length, unpacked, files }: ArchiveTotals): void {
  if (files > archiveLimits.files)
    throw archiveError('ARCHIVE_LIMIT', `the archive has ${files} files, allowed are ${archiveLimits.files}`);
  if (unpacked > archiveLimits.unpackedBytes)
    throw archiveError(
      'ARCHIVE_LIMIT',
      `the archive unpacks to ${unpacked} bytes, allowed are ${archiveLimits.unpackedBytes}`,
    );
  if (unpacked > archiveLimits.ratioFloor && unpacked > length * archiveLimits.ratio)
    throw archiveError(
      'ARCHIVE_LIMIT',
      `the archive unpacks from ${length} to ${unpacked} bytes, more than ${archiveLimits.ratio} times its length`,
    );
}
