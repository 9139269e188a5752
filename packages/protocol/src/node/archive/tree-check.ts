/**
 * Compares an unpacked tree with the list of its files: each is there, is a regular file, has its length, its digest and its
 * permission to run, and nothing else is there, empty folders included. Synchronous and streaming, with one buffer.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, opendirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../error.ts';
import { archiveError } from '../../release/archive-errors.ts';
import { escapeText } from '../../unsafe-text.ts';
import { archiveFailure } from './archive-failure.ts';
import type { UnpackedFile } from './tree-writer.ts';

const bufferBytes = 1 << 20;
/** How many differences a refusal names. */
const shownDifferences = 20;

export interface TreeCheckJob {
  readonly directory: string;
  readonly files: readonly UnpackedFile[];
}

/** @throws ARCHIVE_TREE_CHANGED with the first differences as context; ARCHIVE_IO */
export function checkTree({ directory, files }: TreeCheckJob): void {
  const differences: { path: string; difference: string }[] = [];
  const note = (path: string, difference: string): void => {
    if (differences.length < shownDifferences) differences.push({ path: escapeText(path, 200), difference });
  };
  const expected = new Map(files.map((file) => [file.path, file]));
  const folders = new Set<string>(['']);
  for (const { path } of files)
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) folders.add(path.slice(0, at));
  try {
    noteExtras(directory, '', expected, folders, note);
    const buffer = Buffer.allocUnsafe(bufferBytes);
    for (const file of files) {
      const difference = compare(join(directory, file.path), file, buffer);
      if (difference !== undefined) note(file.path, difference);
      if (differences.length === shownDifferences) break;
    }
  } catch (cause) {
    throw archiveFailure(`checking ${directory}`, cause);
  }
  if (differences.length > 0)
    throw archiveError(
      'ARCHIVE_TREE_CHANGED',
      `${directory} is not as it was unpacked: "${differences[0]!.path}" ${differences[0]!.difference}` +
        (differences.length > 1 ? `, and at least ${differences.length - 1} more` : ''),
      { context: { directory, differences } },
    );
}

function noteExtras(
  directory: string,
  folder: string,
  expected: ReadonlyMap<string, unknown>,
  folders: ReadonlySet<string>,
  note: (path: string, difference: string) => void,
): void {
  let entries;
  try {
    entries = opendirSync(join(directory, folder));
  } catch (cause) {
    if (!['ENOENT', 'ENOTDIR'].includes(codeOf(cause) ?? '')) throw cause;
    return note(folder, 'is missing');
  }
  try {
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (expected.has(path)) continue; // `compare` checks its kind
      if (!folders.has(path)) note(path, 'was not there');
      else if (!entry.isDirectory()) note(path, 'is no longer a folder');
      else noteExtras(directory, path, expected, folders, note);
    }
  } finally {
    entries.closeSync();
  }
}

/** What is different about one file, or undefined. */
function compare(file: string, expected: UnpackedFile, buffer: Buffer): string | undefined {
  let descriptor: number;
  try {
    // O_NONBLOCK: a pipe in the file's place must not stop the check.
    descriptor = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    const code = codeOf(cause) ?? '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'is missing';
    if (code === 'ELOOP' || code === 'ENXIO' || code === 'EISDIR') return 'is no longer a regular file';
    throw cause;
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) return 'is no longer a regular file';
    if (stats.size !== expected.length) return `has ${stats.size} bytes, had ${expected.length}`;
    if (process.platform !== 'win32' && ((stats.mode & 0o100) !== 0) !== expected.executable)
      return expected.executable ? 'is no longer executable' : 'became executable';
    const digest = createHash('sha256');
    for (let at = 0; at < expected.length;) {
      const count = readSync(descriptor, buffer, 0, buffer.length, at);
      if (count === 0) return `ended after ${at} bytes`;
      digest.update(buffer.subarray(0, count));
      at += count;
    }
    return digest.digest('hex') === expected.sha256 ? undefined : 'has other content';
  } finally {
    closeSync(descriptor);
  }
}
