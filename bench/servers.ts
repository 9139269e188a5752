/** Starts servers for the benchmarks, each in a separate process: ours, a bare node:http, nginx. All end with `stop`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PublisherList } from '../packages/repo-server/src/publishers.ts';
import type { PublishedRepository } from '../test/support/published-repository.ts';

export interface RunningProcess {
  readonly url: string;
  stop(): Promise<void>;
}

export const scratch = (name: string): string => mkdtempSync(join(tmpdir(), `countersign-bench-${name}-`));

const ending = (child: ChildProcess): Promise<void> =>
  new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) return done();
    child.on('close', () => done());
    child.kill('SIGTERM');
  });

/** Starts a program and waits for the line with its URL. */
function started(command: string, args: readonly string[]): Promise<RunningProcess> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('exit', (code) => failed(new Error(`${command} ended with ${code}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const url = /https?:\/\/[^\s"]+/.exec(text)?.[0];
      if (url) done({ url: url.endsWith('/') ? url : `${url}/`, stop: () => ending(child) });
    });
  });
}

/** Our server for that repository's keys; nothing is published yet. */
export async function countersignServer(
  repository: PublishedRepository,
): Promise<RunningProcess & { readonly apiKey: string; readonly directory: string }> {
  const directory = scratch('server');
  const state = join(directory, 'server');
  mkdirSync(state);
  const pem = (role: string): string =>
    repository.keys.get(role)![0]!.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  writeFileSync(
    join(state, 'online-keys.secret.json'),
    JSON.stringify({ snapshot: pem('snapshot'), timestamp: pem('timestamp') }),
  );
  for (const [name, bytes] of Object.entries(repository.shipped)) writeFileSync(join(directory, name), bytes);
  const apiKey = new PublisherList(state).add('bench', new Date());
  const bin = resolve(import.meta.dirname, '../packages/repo-server/bin/countersign-server.js');
  const shipped = ['root', 'codesign', 'devices'].flatMap((name) => [`--${name}`, join(directory, name)]);
  const running = await started(process.execPath, [
    bin,
    'serve',
    '--dir',
    directory,
    '--port',
    '0',
    '--json',
    ...shipped,
  ]);
  return { ...running, apiKey, directory };
}

/** A bare node:http server: it sends one file from memory with its ETag and 304, or streams a file. */
export function bareNode(file: string, how: 'memory' | 'stream'): Promise<RunningProcess> {
  const script = `
    import { createServer } from 'node:http';
    import { createReadStream, readFileSync, statSync } from 'node:fs';
    const file = process.argv[1];
    const bytes = ${how === 'memory' ? 'readFileSync(file)' : 'null'};
    const length = statSync(file).size;
    const server = createServer((request, response) => {
      if (!bytes) return createReadStream(file).pipe(response.writeHead(200, { 'content-length': length }));
      if (request.headers['if-none-match'] === '"e"') return response.writeHead(304).end();
      response.writeHead(200, { etag: '"e"', 'content-length': length, 'content-type': 'application/json' }).end(bytes);
    });
    server.listen(0, '127.0.0.1', () => console.log('http://127.0.0.1:' + server.address().port + '/'));
    process.on('SIGTERM', () => process.exit());`;
  return started(process.execPath, ['--input-type=module', '-e', script, file]);
}

/** nginx with one worker over a folder. */
export async function nginx(folder: string): Promise<RunningProcess> {
  const place = scratch('nginx');
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${place}/${name};`)
    .join(' ');
  writeFileSync(
    join(place, 'nginx.conf'),
    `daemon off; worker_processes 1; ${process.getuid?.() === 0 ? 'user root;' : ''} pid ${place}/pid; error_log ${place}/error.log;
     events { worker_connections 512; }
     http { access_log off; sendfile on; keepalive_requests 1000000; ${temporary}
       server { listen 127.0.0.1:${port}; root ${folder}; } }`,
  );
  const child = spawn('nginx', ['-c', join(place, 'nginx.conf'), '-p', place], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}/`;
  for (let tries = 0; ; tries++) {
    try {
      await fetch(url);
      return { url, stop: () => ending(child) };
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((next) => setTimeout(next, 50));
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}
