/**
 * Data that does not end, for tests of the limits against it, with an end all the same: where the product has lost its limit, the test
 * fails within seconds and fills neither memory nor disk.
 */
import assert from 'node:assert/strict';
import type { Writable } from 'node:stream';

/** Far beyond every limit that is tested with it. */
const mostBytes = 64 << 20;
const mostMilliseconds = 10_000;

export interface Endless {
  /** Fails where it was this end that gave up. */
  checkCutOff(): void;
}

/** Writes the chunk as fast as the other end takes it, until that one closes. */
export function pour(stream: Writable, chunk: string | Buffer): Endless {
  const supply = boundedSupply(stream, chunk);
  const more = (): void => {
    while (supply.write());
  };
  stream.on('drain', more);
  more();
  return supply;
}

/** Writes the chunk at intervals, until the other end closes. */
export function drip(stream: Writable, chunk: string, milliseconds: number): Endless {
  const supply = boundedSupply(stream, chunk);
  const timer = setInterval(() => supply.write(), milliseconds);
  stream.on('close', () => clearInterval(timer));
  return supply;
}

function boundedSupply(stream: Writable, chunk: string | Buffer): Endless & { write(): boolean } {
  let bytes = 0;
  let gaveUp: string | undefined;
  const giveUp = (why: string): void => {
    gaveUp ??= why;
    stream.destroy();
  };
  const timer = setTimeout(() => giveUp(`${mostMilliseconds} ms`), mostMilliseconds);
  stream.on('close', () => clearTimeout(timer));
  return {
    write: () => {
      if (stream.destroyed) return false;
      bytes += chunk.length;
      if (bytes > mostBytes) giveUp(`${mostBytes} bytes`);
      return !stream.destroyed && stream.write(chunk);
    },
    checkCutOff: () => assert.equal(gaveUp, undefined, 'the other end cuts it off'),
  };
}
