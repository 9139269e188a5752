/** Builds tar and zstd bytes field by field, so that a test can say exactly what is wrong with an archive. */
import { createHash } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';

export interface RawEntry {
  readonly name: string;
  readonly prefix?: string;
  readonly content?: Buffer | string;
  /** Typeflag; `0` by default. */
  readonly type?: string;
  /** Octal digits as in the field. */
  readonly mode?: string;
  readonly size?: string;
  readonly link?: string;
  readonly magic?: string;
  /** Bytes put into the finished header before its checksum is computed. */
  readonly patch?: { readonly at: number; readonly bytes: Buffer };
  /** Replaces the correct checksum field. */
  readonly checksum?: string;
  /** Replaces the zeros that fill the content's last block. */
  readonly padding?: Buffer;
}

export function rawEntry(entry: RawEntry): Buffer {
  const content = Buffer.from(entry.content ?? '');
  const header = Buffer.alloc(512);
  header.write(entry.name, 0, 100, 'latin1');
  header.write(entry.mode ?? '0000644', 100, 8, 'latin1');
  header.write('0000000', 108, 8, 'latin1');
  header.write('0000000', 116, 8, 'latin1');
  header.write(entry.size ?? content.length.toString(8).padStart(11, '0'), 124, 12, 'latin1');
  header.write('00000000000', 136, 12, 'latin1');
  header.write(entry.type ?? '0', 156, 1, 'latin1');
  header.write(entry.link ?? '', 157, 100, 'latin1');
  header.write(entry.magic ?? 'ustar\u000000', 257, 8, 'latin1');
  header.write(entry.prefix ?? '', 345, 155, 'latin1');
  entry.patch?.bytes.copy(header, entry.patch.at);
  header.write('        ', 148, 8, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(entry.checksum ?? `${sum.toString(8).padStart(6, '0')}\u0000 `, 148, 8, 'latin1');
  return Buffer.concat([header, content, entry.padding ?? Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

/** A tar of those entries with its two closing blocks. */
export const rawTar = (...entries: RawEntry[]): Buffer => Buffer.concat([...entries.map(rawEntry), Buffer.alloc(1024)]);

export const zstd = (bytes: Buffer, parameters: Record<number, number> = {}): Buffer =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1, ...parameters } });

/** A skippable frame (RFC 8878 §3.1.2) with that content. */
export function skippableFrame(content: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(0x184d2a50, 0);
  header.writeUInt32LE(content.length, 4);
  return Buffer.concat([header, content]);
}

/** What a signed statement would say of the archive. */
export const declare = (archive: Buffer, { unpacked, files }: { unpacked: number; files: number }) => ({
  sha256: createHash('sha256').update(archive).digest('hex'),
  length: archive.length,
  unpacked,
  files,
});
