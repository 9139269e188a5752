/**
 * Follows the outline of a zstd stream (RFC 8878 §3.1.1) without decoding it: exactly one frame, no dictionary, a bounded
 * window, and not a byte after it. Decoders silently accept further frames, skip "skippable" ones, which can carry anything, and
 * may overlook a missing end. This module refuses all three.
 */
import { archiveError } from '../../release/archive-errors.ts';
import { archiveLimits } from '../../release/archive-policy.ts';

const magic = 0xfd2fb528;

export class ZstdFrame {
  #phase: 'magic' | 'descriptor' | 'header' | 'block' | 'content' | 'checksum' | 'end' = 'magic';
  /** The field being collected: how many bytes it needs, and those received. */
  #needed = 4;
  readonly #field: number[] = [];
  #descriptor = 0;
  #skip = 0;
  #lastBlock = false;

  /** The next compressed bytes. @throws ARCHIVE_DAMAGED ARCHIVE_LIMIT */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#phase === 'end')
        throw archiveError('ARCHIVE_DAMAGED', 'the archive has bytes after the end of its zstd frame');
      if (this.#phase === 'content') {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        if (this.#skip === 0) this.#endBlock();
        continue;
      }
      this.#field.push(chunk[at++]!);
      if (this.#field.length === this.#needed) this.#readField(this.#field.splice(0));
    }
  }

  /** Call after the last byte. @throws ARCHIVE_DAMAGED */
  finish(): void {
    if (this.#phase !== 'end') throw archiveError('ARCHIVE_DAMAGED', 'the archive ends inside its zstd frame');
  }

  #readField(field: number[]): void {
    switch (this.#phase) {
      case 'magic':
        if (littleEndian(field) !== magic) throw archiveError('ARCHIVE_DAMAGED', 'the archive is not a zstd frame');
        return this.#expect('descriptor', 1);
      case 'descriptor':
        return this.#readDescriptor(field[0]!);
      case 'header':
        return this.#readHeader(field);
      case 'block':
        return this.#readBlock(littleEndian(field));
      default:
        this.#phase = 'end';
    }
  }

  #expect(phase: 'descriptor' | 'header' | 'block' | 'checksum', bytes: number): void {
    this.#phase = phase;
    this.#needed = bytes;
  }

  #readDescriptor(descriptor: number): void {
    this.#descriptor = descriptor;
    if ((descriptor & 0b1_1011) !== 0)
      throw archiveError('ARCHIVE_DAMAGED', 'the zstd frame asks for a dictionary or has reserved bits set');
    const single = (descriptor & 0b10_0000) !== 0;
    const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
    this.#expect('header', contentSize + (single ? 0 : 1));
  }

  #readHeader(field: number[]): void {
    const single = (this.#descriptor & 0b10_0000) !== 0;
    const first = field[0]!;
    const base = 2 ** (10 + (first >> 3));
    // A single-segment frame is its own window (its size field of two bytes counts from 256; that never matters here).
    const window = single ? littleEndian(field) : base + (base / 8) * (first & 0b111);
    if (window > archiveLimits.windowBytes)
      throw archiveError(
        'ARCHIVE_LIMIT',
        `the zstd frame needs a window of ${window} bytes, allowed are ${archiveLimits.windowBytes}`,
      );
    this.#expect('block', 3);
  }

  #readBlock(header: number): void {
    this.#lastBlock = (header & 1) !== 0;
    const repeated = ((header >> 1) & 0b11) === 1;
    this.#skip = repeated ? 1 : header >> 3;
    if (this.#skip === 0) this.#endBlock();
    else this.#phase = 'content';
  }

  #endBlock(): void {
    if (!this.#lastBlock) this.#expect('block', 3);
    else if ((this.#descriptor & 0b100) !== 0) this.#expect('checksum', 4);
    else this.#phase = 'end';
  }
}

const littleEndian = (bytes: number[]): number => bytes.reduceRight((value, byte) => value * 256 + byte, 0);
