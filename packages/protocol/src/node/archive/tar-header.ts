/**
 * The one tar header that a device reads: POSIX ustar (IEEE 1003.1, pax interchange, "ustar Interchange Format"), regular files and
 * folders. Names fit its name and prefix fields and sizes its eleven octal digits (see
 * `archive-policy.ts`), so no pax, GNU or base-256 extension exists here.
 *
 * Must never read a field leniently: what two readers could understand differently is refused.
 */
import { archiveError } from '../../release/archive-errors.ts';
import { escapeText } from '../../unsafe-text.ts';

export const blockBytes = 512;
/** Two zero blocks end an archive. */
export const endBytes = 2 * blockBytes;

export interface TarEntry {
  readonly kind: 'file' | 'folder';
  /** As stored, without a folder's trailing slash; not yet judged by the policy. */
  readonly path: string;
  readonly size: number;
  readonly executable: boolean;
}

/**
 * Fields that a device does not use are empty or follow the same strict form: another reader may drop an entry whose owner it
 * cannot read.
 */
const unusedNumbers = [
  { field: 'owner', at: 108, length: 8 },
  { field: 'group', at: 116, length: 8 },
  { field: 'time', at: 136, length: 12 },
  { field: 'device', at: 329, length: 8 },
  { field: 'device', at: 337, length: 8 },
] as const;

/** Bytes of zeros after a file's content, up to the next block. */
export const paddingOf = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes;

/** Reads the header at `offset`. @throws ARCHIVE_DAMAGED ARCHIVE_ENTRY */
export function readTarHeader(block: Buffer, offset: number): TarEntry {
  if (readOctal(block, offset + 148, 8, 'checksum') !== checksumOf(block, offset))
    throw archiveError('ARCHIVE_DAMAGED', 'a tar header does not match its checksum');
  if (block.toString('latin1', offset + 257, offset + 265) !== 'ustar\u000000')
    throw archiveError('ARCHIVE_DAMAGED', 'a tar header is not in POSIX ustar form');
  const name = readText(block, offset, 100);
  const prefix = readText(block, offset + 345, 155);
  const stored = prefix === '' ? name : `${prefix}/${name}`;
  const shown = (): string => escapeText(stored, 200);
  const type = block[offset + 156];
  if (type !== 0x30 && type !== 0x35)
    throw archiveError(
      'ARCHIVE_ENTRY',
      `"${shown()}" is of tar type "${escapeText(String.fromCharCode(type!))}", only files and folders are allowed`,
    );
  if (!isZero(block, offset + 157, offset + 257))
    throw archiveError('ARCHIVE_ENTRY', `"${shown()}" names another file as its link`);
  if (!isZero(block, offset + 500, offset + blockBytes))
    throw archiveError('ARCHIVE_DAMAGED', `the tar header of "${shown()}" has bytes outside its fields`);
  const mode = readOctal(block, offset + 100, 8, 'mode');
  if (mode > 0o777)
    throw archiveError(
      'ARCHIVE_ENTRY',
      `"${shown()}" has mode ${mode.toString(8)}: setuid, setgid and sticky are refused`,
    );
  const size = readOctal(block, offset + 124, 12, 'size');
  for (const { field, at, length } of unusedNumbers)
    if (!isZero(block, offset + at, offset + at + length)) readOctal(block, offset + at, length, field);
  if (type === 0x30) return { kind: 'file', path: stored, size, executable: (mode & 0o100) !== 0 };
  if (size !== 0) throw archiveError('ARCHIVE_ENTRY', `the folder "${shown()}" has ${size} bytes of content`);
  return { kind: 'folder', path: stored.endsWith('/') ? stored.slice(0, -1) : stored, size: 0, executable: false };
}

/** Sum of all bytes, with the checksum field counted as spaces. */
function checksumOf(block: Buffer, offset: number): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < 148; at++) sum += block[offset + at]!;
  for (let at = 156; at < blockBytes; at++) sum += block[offset + at]!;
  return sum;
}

export function isZero(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** Text up to the first NUL; nothing may stand after it. */
function readText(block: Buffer, start: number, length: number): string {
  const zero = block.indexOf(0, start);
  const end = zero === -1 || zero > start + length ? start + length : zero;
  if (!isZero(block, end, start + length))
    throw archiveError('ARCHIVE_DAMAGED', 'a name in a tar header has bytes after its end');
  return block.toString('latin1', start, end);
}

/**
 * Octal digits, then spaces and NULs, at least one. Refuses a sign, a leading space, base-256, and a number that runs on into the
 * next field.
 */
function readOctal(block: Buffer, start: number, length: number, field: string): number {
  let value = 0;
  let at = start;
  for (; at < start + length && block[at]! >= 0x30 && block[at]! <= 0x37; at++) value = value * 8 + block[at]! - 0x30;
  const digits = at - start;
  while (at < start + length && (block[at] === 0 || block[at] === 0x20)) at++;
  if (digits === 0 || digits === length || at < start + length)
    throw archiveError(
      'ARCHIVE_DAMAGED',
      `the ${field} in a tar header is "${escapeText(block.toString('latin1', start, start + length))}", expected octal digits`,
    );
  return value;
}
