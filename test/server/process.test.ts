/** The server's own program as a process: how it stops, and that one folder has one server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { Agent, get, request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { PublishedRepository } from '../support/published-repository.ts';
import { announcementOf, makeServerFolder, publish, upload, type ServerFolder } from '../support/publishing.ts';
import { dial } from '../support/raw-http.ts';
import { runServerCommand, serveArguments, startServerProgram, type ServerProgram } from '../support/server-program.ts';

const posix = { skip: process.platform === 'win32' && 'signals are POSIX' };
const large = Buffer.alloc(32 << 20, 'large ');

interface Scene {
  readonly repository: PublishedRepository;
  readonly folder: ServerFolder;
  start(): Promise<ServerProgram>;
}

function scene(t: TestContext): Scene {
  const repository = new PublishedRepository({ time: new Date().toISOString() });
  const base = { bytes: large, unpacked: large.length, files: 1 };
  repository.offer(repository.addRelease({ name: 'remote-support', version: '1.0.0', base }));
  repository.publish();
  const folder = makeServerFolder(repository);
  const started: ServerProgram[] = [];
  t.after(async () => {
    for (const server of started) {
      server.process.kill('SIGKILL');
      await server.ended;
    }
    rmSync(folder.directory, { recursive: true, force: true });
  });
  const start = async (): Promise<ServerProgram> => {
    const server = await startServerProgram(folder);
    started.push(server);
    return server;
  };
  return { repository, folder, start };
}

/** Resolves when nothing listens there any more. */
async function untilRefused(url: string): Promise<void> {
  for (;;) {
    const socket = dial(url);
    const outcome = await new Promise<string | undefined>((done) => {
      socket.on('connect', () => done('open'));
      socket.on('error', (error: NodeJS.ErrnoException) => done(error.code));
    });
    socket.destroy();
    if (outcome === 'ECONNREFUSED') return;
  }
}

test('told to stop, it takes nobody new and lets what is under way end', posix, async (t) => {
  const { repository, start } = scene(t);
  const server = await start();
  assert.equal((await publish(server, repository)).status, 200);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const ask = (path: string): Promise<IncomingMessage> =>
    new Promise((done, failed) => get(new URL(path, server.url), { agent }, done).on('error', failed));
  (await ask('healthz')).resume();
  const [name] = [...repository.files].find(([file]) => file.endsWith('.any.base.tar.zst'))!;
  const download = await ask(name);
  const [first] = (await once(download, 'data')) as [Buffer];
  download.pause();
  server.process.kill('SIGTERM');
  await untilRefused(server.url);
  assert.equal(server.process.exitCode, null);
  const rest = await Array.fromAsync(download as AsyncIterable<Buffer>);
  assert.equal(sha256(Buffer.concat([first, ...rest])), sha256(large));
  const { code, signal, stderr } = await server.ended;
  assert.deepEqual([code, signal], [0, null], stderr);
  assert.doesNotMatch(stderr, /deprecat|warning/i);
});

test('told twice to stop, it stops at once', posix, async (t) => {
  const { repository, start } = scene(t);
  const server = await start();
  assert.equal((await publish(server, repository)).status, 200);
  const [name] = [...repository.files].find(([file]) => file.endsWith('.any.base.tar.zst'))!;
  const download = await new Promise<IncomingMessage>((done) => get(new URL(name, server.url), done));
  download.on('error', () => undefined).pause();
  server.process.kill('SIGTERM');
  await untilRefused(server.url);
  server.process.kill('SIGTERM');
  assert.deepEqual((await server.ended).signal, 'SIGTERM');
});

test('a publication that is being committed ends before the server does', posix, async (t) => {
  const { repository, start } = scene(t);
  const server = await start();
  const id = await upload(server, repository, announcementOf(repository));
  const headers = { authorization: `Bearer ${server.apiKey}`, expect: '100-continue', 'content-length': 0 };
  const commit = request(new URL(`/v1/publications/${id}/commit`, server.url), { method: 'POST', headers });
  const answered = once(commit, 'response') as Promise<[IncomingMessage]>;
  commit.flushHeaders();
  // Shows that the request has arrived.
  await once(commit, 'continue');
  server.process.kill('SIGTERM');
  commit.end();
  const [response] = await answered;
  const body = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString();
  assert.deepEqual([response.statusCode, body], [200, '{"timestamp":1,"snapshot":1,"scanned":false}']);
  assert.equal((await server.ended).code, 0);
  const again = await start();
  assert.equal((await fetch(new URL('metadata/timestamp.json', again.url))).status, 200);
});

test(
  'a second server on the folder is refused, the first goes on, and a killed one leaves the folder free',
  posix,
  async (t) => {
    const { repository, folder, start } = scene(t);
    const server = await start();
    assert.equal((await publish(server, repository)).status, 200);
    const second = await runServerCommand(folder, serveArguments(folder).slice(0, 1));
    assert.equal(second.code, 1);
    const { error } = JSON.parse(second.stdout) as { error: { code: string; hint: string } };
    assert.equal(error.code, 'SERVER_ALREADY_RUNNING');
    assert.match(error.hint, /two processes never share/);
    assert.equal((await fetch(new URL('metadata/timestamp.json', server.url))).status, 200);
    server.process.kill('SIGKILL');
    assert.equal((await server.ended).signal, 'SIGKILL');
    const next = await start();
    assert.equal((await fetch(new URL('metadata/timestamp.json', next.url))).status, 200);
  },
);

test('an address that is taken is said so', posix, async (t) => {
  const server = await scene(t).start();
  const { port } = new URL(server.url);
  const other = makeServerFolder(new PublishedRepository());
  t.after(() => rmSync(other.directory, { recursive: true }));
  const args = serveArguments(other).map((word, index, words) => (words[index - 1] === '--port' ? port : word));
  const { code, stdout } = await runServerCommand(other, args);
  assert.equal(code, 1);
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
  assert.equal(error.code, 'SERVER_LISTEN');
  assert.match(error.message, new RegExp(`EADDRINUSE for port ${port}`));
});

test('commands say what they miss, and init never makes a server over another', async (t) => {
  const { folder } = scene(t);
  const codeOf = async (args: readonly string[], directory = folder.directory): Promise<string> => {
    const { code, stdout } = await runServerCommand({ directory }, args);
    const { error } = JSON.parse(stdout) as { error: { code: string } };
    return `${code} ${error.code}`;
  };
  const keys = join(folder.directory, 'server', 'online-keys.secret.json');
  const kept = readFileSync(keys, 'utf8');
  const halves = join(folder.directory, 'halves.json');
  assert.equal(await codeOf(['init', '--online-keys', halves]), '1 SERVER_EXISTS');
  assert.deepEqual([readFileSync(keys, 'utf8'), existsSync(halves)], [kept, false]);
  const nowhere = join(folder.directory, 'nowhere');
  for (const args of [['publisher', 'add', 'x'], ['publisher', 'list'], ['doctor'], ['serve']])
    assert.equal(await codeOf(args, nowhere), '1 SERVER_MISSING', args.join(' '));
  assert.equal(existsSync(nowhere), false);
  for (const port of ['65536', '-1', '80a', '', '0x50'])
    assert.equal(await codeOf(['serve', `--port=${port}`]), '2 USAGE', port);
});
