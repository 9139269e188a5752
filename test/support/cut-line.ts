/**
 * A proxy between a program and a server: after a number of bytes or certain words it runs a function and then passes nothing on.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface CutLine {
  readonly url: string;
  /** Bytes that went up to the server. */
  readonly up: () => number;
  /** Resolves when the connection was cut. */
  readonly cut: Promise<void>;
  /** Lets everything pass from now on. */
  mend(): void;
  /** Breaks every connection, as when one end dies. */
  drop(): void;
}

export interface CutOptions {
  /** Cut once this many bytes went up. */
  readonly afterBytes?: number;
  /** Cut before an answer that has these words. */
  readonly beforeAnswer?: string;
  /** Runs at the cut, before anything else passes. */
  readonly then?: () => void;
}

export async function cutLine(t: TestContext, to: string, options: CutOptions): Promise<CutLine> {
  const { afterBytes = Infinity, beforeAnswer, then = () => {} } = options;
  const { port, hostname } = new URL(to);
  const sockets = new Set<Socket>();
  let up = 0;
  let mended = false;
  let tell: () => void;
  const cut = new Promise<void>((done) => (tell = done));
  let isCut = false;
  const cutNow = (): void => {
    if (isCut || mended) return;
    isCut = true;
    for (const socket of sockets) socket.pause();
    then();
    tell();
  };
  // Passes data at the speed of the other end, so that what went up did arrive, except for what the system buffers.
  const pass = (from: Socket, into: Socket, chunk: Buffer): void => {
    if (into.write(chunk)) return;
    from.pause();
    into.once('drain', () => (isCut && !mended) || from.resume());
  };
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk: Buffer) => {
        if (from === near) up += chunk.length;
        if (from === far && beforeAnswer !== undefined && chunk.includes(beforeAnswer)) cutNow();
        if (from === near || mended || !isCut) pass(from, into, chunk);
        if (from === near && up >= afterBytes) cutNow();
      });
      from.on('end', () => into.end());
      from.on('error', () => into.destroy());
      from.on('close', () => {
        sockets.delete(from);
        into.destroy();
      });
    }
    if (isCut && !mended) for (const socket of [near, far]) socket.pause();
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  t.after(() => {
    drop();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    up: () => up,
    cut,
    drop,
    mend: () => {
      mended = true;
      for (const socket of sockets) socket.resume();
    },
  };
}
