/** A loopback HTTP server for tests: any handler, its own port, closed with the test. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface TestServer {
  readonly url: string;
  readonly server: Server;
  /** Resolves when no connection is open any more. */
  idle(): Promise<void>;
}

export async function serve(t: TestContext, handler: RequestListener): Promise<TestServer> {
  const server = createServer(handler);
  let open = 0;
  let notify = (): void => {};
  server.on('connection', (socket) => {
    open++;
    socket.on('error', () => {});
    socket.on('close', () => {
      open--;
      notify();
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    server,
    idle: () =>
      new Promise((done) => {
        notify = () => open === 0 && done();
        notify();
      }),
  };
}
