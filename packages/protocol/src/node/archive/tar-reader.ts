/**
 * Reads one tar stream as it arrives and hands its files to a sink. Before the sink is told of it, every name is judged by the
 * archive policy and every number by what the signed statement declares. A bomb therefore ends at the first byte too many.
 *
 * Must never call the sink for an entry that was not accepted, and must never accept a stream that does not end properly.
 */
import { archiveError } from '../../release/archive-errors.ts';
import { ArchiveNames, archiveLimits } from '../../release/archive-policy.ts';
import { blockBytes, endBytes, isZero, paddingOf, readTarHeader, type TarEntry } from './tar-header.ts';

/** Tar programs pad to whole records of twenty blocks. */
const recordBytes = 20 * blockBytes;

export interface TarSink {
  /** A regular file begins; `size` bytes follow. */
  begin(file: TarEntry): void;
  /** The next bytes of its content; only valid during the call. */
  write(chunk: Buffer, start: number, end: number): void;
  end(): void;
}

export class TarReader {
  readonly #declared: { readonly files: number; readonly unpacked: number };
  readonly #sink: TarSink;
  readonly #names = new ArchiveNames();
  /** A header that is split between two chunks. */
  readonly #block = Buffer.alloc(blockBytes);
  #blockFilled = 0;
  #phase: 'header' | 'content' | 'padding' | 'end' = 'header';
  /** In the phases content and padding: the bytes still to come. */
  #left = 0;
  #size = 0;
  #unpacked = 0;
  #folders = 0;
  /** Zero bytes seen since the last entry. */
  #zeros = 0;

  constructor(declared: { readonly files: number; readonly unpacked: number }, sink: TarSink) {
    this.#declared = declared;
    this.#sink = sink;
  }

  /** @throws ARCHIVE_* */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#phase === 'content') {
        const end = Math.min(chunk.length, at + this.#left);
        this.#sink.write(chunk, at, end);
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#endFile();
      } else if (this.#phase === 'padding') {
        const end = Math.min(chunk.length, at + this.#left);
        if (!isZero(chunk, at, end))
          throw archiveError('ARCHIVE_DAMAGED', 'the tar has bytes between a file and the next header');
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#phase = 'header';
      } else if (this.#blockFilled === 0 && chunk.length - at >= blockBytes) {
        this.#readBlock(chunk, at);
        at += blockBytes;
      } else {
        const copied = chunk.copy(this.#block, this.#blockFilled, at, at + blockBytes - this.#blockFilled);
        at += copied;
        this.#blockFilled += copied;
        if (this.#blockFilled < blockBytes) continue;
        this.#blockFilled = 0;
        this.#readBlock(this.#block, 0);
      }
    }
  }

  /** Call after the last byte. @throws ARCHIVE_DAMAGED ARCHIVE_DECLARED */
  finish(): void {
    if (this.#zeros < endBytes || this.#blockFilled > 0)
      throw archiveError('ARCHIVE_DAMAGED', 'the tar ends without its two closing blocks');
    if (this.#names.files !== this.#declared.files)
      throw archiveError(
        'ARCHIVE_DECLARED',
        `the archive has ${this.#names.files} files, declared are ${this.#declared.files}`,
      );
    if (this.#unpacked !== this.#declared.unpacked)
      throw archiveError(
        'ARCHIVE_DECLARED',
        `the archive unpacks to ${this.#unpacked} bytes, declared are ${this.#declared.unpacked}`,
      );
  }

  #readBlock(block: Buffer, offset: number): void {
    if (isZero(block, offset, offset + blockBytes)) {
      this.#phase = 'end';
      this.#zeros += blockBytes;
      if (this.#zeros > recordBytes)
        throw archiveError('ARCHIVE_DAMAGED', `the tar goes on for more than ${recordBytes} bytes after its end`);
      return;
    }
    if (this.#phase === 'end') throw archiveError('ARCHIVE_DAMAGED', 'the tar has data after its end');
    this.#beginEntry(readTarHeader(block, offset));
  }

  #beginEntry(entry: TarEntry): void {
    if (entry.kind === 'folder') {
      this.#names.addFolder(entry.path);
      this.#folders += 1;
      // Otherwise an archive could repeat one folder for ever and cost endless time.
      if (this.#folders > archiveLimits.files)
        throw archiveError('ARCHIVE_LIMIT', `the archive has more than ${archiveLimits.files} folder entries`);
      return;
    }
    this.#names.addFile(entry.path);
    if (this.#names.files > this.#declared.files)
      throw archiveError('ARCHIVE_DECLARED', `the archive has more than the declared ${this.#declared.files} files`);
    this.#unpacked += entry.size;
    if (this.#unpacked > this.#declared.unpacked)
      throw archiveError(
        'ARCHIVE_DECLARED',
        `the archive unpacks to more than the declared ${this.#declared.unpacked} bytes`,
      );
    this.#sink.begin(entry);
    this.#size = entry.size;
    this.#left = entry.size;
    if (entry.size === 0) this.#endFile();
    else this.#phase = 'content';
  }

  #endFile(): void {
    this.#sink.end();
    this.#left = paddingOf(this.#size);
    this.#phase = this.#left === 0 ? 'header' : 'padding';
  }
}
