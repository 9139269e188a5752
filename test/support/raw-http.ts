/** Speaks HTTP as bytes on a socket: sends what a well-behaved client never sends, and returns exactly what comes back. */
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names in order, without `date`. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export const dial = (url: string): Socket => {
  const { hostname, port } = new URL(url);
  return connect(Number(port), hostname);
};

/** Everything that came until the server closed the connection; an abrupt end also counts. */
export function untilClosed(socket: Socket): Promise<string> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => done(Buffer.concat(chunks).toString('latin1')));
  });
}

/** Sends the bytes and reads until the server closes, which `connection: close` makes it do. */
export function talk(url: string, bytes: string | Buffer): Promise<string> {
  const socket = dial(url);
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  return untilClosed(socket);
}

/** One request whose connection ends with its answer. */
export async function ask(url: string, line: string, headers: Record<string, string> = {}): Promise<RawAnswer> {
  const lines = Object.entries({ host: 'test', connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return readAnswer(await talk(url, [`${line} HTTP/1.1`, ...lines, '', ''].join('\r\n')));
}

/** The first answer in the text; status 0 if there was none. */
export function readAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0),
    headers: new Map(headers.filter(([name]) => name !== 'date')),
    body: end < 0 ? '' : text.slice(end + 4),
  };
}
