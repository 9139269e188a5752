/** Publishes an in-memory repository to a real server over its API, like a publisher's program. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { startServer, type RunningServer, type ServerOptions } from '@countersign/repo-server';
import { PublisherList } from '../../packages/repo-server/src/publishers.ts';
import type { PublishedRepository } from './published-repository.ts';

/** What a publisher's request needs. */
export interface Api {
  readonly url: string;
  readonly apiKey: string;
}

export interface TestServer extends Api {
  readonly directory: string;
  readonly clock: { now: Date };
  url: string;
  /** Starts it again after `stop`. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A server's folder before its first start. */
export interface ServerFolder {
  readonly directory: string;
  readonly apiKey: string;
  /** Files of the shipped package. */
  readonly shipped: { readonly root: string; readonly codesign: string; readonly devices: string };
}

/** Makes a server's folder with the online keys and the shipped package of the repository. */
export function makeServerFolder(repository: PublishedRepository): ServerFolder {
  const directory = mkdtempSync(join(tmpdir(), 'countersign-server-'));
  const state = join(directory, 'server');
  mkdirSync(state);
  const pem = (role: string): string =>
    repository.keys.get(role)![0]!.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  writeFileSync(
    join(state, 'online-keys.secret.json'),
    JSON.stringify({ snapshot: pem('snapshot'), timestamp: pem('timestamp') }),
    { mode: 0o600 },
  );
  mkdirSync(join(directory, 'shipped'));
  const file = (name: 'root' | 'codesign' | 'devices'): string => {
    writeFileSync(join(directory, 'shipped', name), repository.shipped[name]);
    return join(directory, 'shipped', name);
  };
  const shipped = { root: file('root'), codesign: file('codesign'), devices: file('devices') };
  return { directory, apiKey: new PublisherList(state).add('test', new Date()), shipped };
}

/** A server in this process, until the test ends. */
export async function startTestServer(
  t: TestContext,
  repository: PublishedRepository,
  options: Pick<Partial<ServerOptions>, 'limits' | 'logger'> = {},
): Promise<TestServer> {
  const { directory, apiKey, shipped } = makeServerFolder(repository);
  let running: RunningServer | undefined;
  const server: TestServer = {
    directory,
    apiKey,
    clock: { now: repository.time },
    url: '',
    start: async () => {
      running = await startServer({
        directory,
        ...shipped,
        host: '127.0.0.1',
        port: 0,
        logger: false,
        ...options,
        clock: () => server.clock.now,
      });
      server.url = running.url;
    },
    stop: async () => {
      await running?.close();
      running = undefined;
    },
  };
  await server.start();
  t.after(() => server.stop());
  return server;
}

export interface Announcement {
  metadata: Record<string, string>;
  targets: { path: string; sha256: string; length: number }[];
  base: Record<string, number>;
}

/** The announcement of a publisher who made the repository's state from the versions in `base`. */
export function announcementOf(repository: PublishedRepository, base: Record<string, number> = {}): Announcement {
  const metadata: Record<string, string> = {};
  for (const [name, bytes] of repository.files) {
    const [, version, role] = /^metadata\/(\d+)\.(.+)\.json$/.exec(name) ?? [];
    if (!version || role === 'snapshot') continue;
    const newest = role === 'root' || Number(version) === repository.versions.get(role!);
    if (newest && Number(version) > (base[role!] ?? 0)) metadata[`${version}.${role!}.json`] = bytes.toString('base64');
  }
  const targets = [...repository.files]
    .filter(([name]) => name.startsWith('targets/'))
    .map(([name, bytes]) => ({
      path: name.slice('targets/'.length).replace(/[0-9a-f]{64}\.([^/]+)$/, '$1'),
      sha256: sha256(bytes),
      length: bytes.length,
    }));
  return { metadata, targets, base };
}

export const blobOf = (repository: PublishedRepository, digest: string): Buffer =>
  [...repository.files].find(([name, bytes]) => name.startsWith('targets/') && sha256(bytes) === digest)![1];

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    id?: string;
    missing?: { sha256: string; received: number }[];
    error?: { code: string; message: string; hint: string };
    snapshot?: number;
    timestamp?: number;
    scanned?: boolean;
  };
}

export async function ask(
  server: Api,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const raw = body instanceof Uint8Array;
  const response = await fetch(new URL(path, server.url), {
    method,
    headers: {
      authorization: `Bearer ${server.apiKey}`,
      ...(body === undefined ? {} : { 'content-type': raw ? 'application/octet-stream' : 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: raw ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : {},
  };
}

/** Announces and uploads what is missing, from where it broke off; returns the publication's id. */
export async function upload(
  server: Api,
  repository: PublishedRepository,
  announcement: Announcement,
  together = 8,
): Promise<string> {
  const begun = await ask(server, 'POST', '/v1/publications', announcement);
  if (begun.status !== 201) throw new Error(JSON.stringify(begun.body));
  const missing = [...begun.body.missing!];
  const work = async (): Promise<void> => {
    for (let next = missing.pop(); next; next = missing.pop())
      await ask(
        server,
        'PUT',
        `/v1/publications/${begun.body.id!}/blobs/${next.sha256}`,
        blobOf(repository, next.sha256).subarray(next.received),
        { 'upload-offset': String(next.received) },
      );
  };
  await Promise.all(Array.from({ length: together }, work));
  return begun.body.id!;
}

/** The whole publication. */
export async function publish(
  server: Api,
  repository: PublishedRepository,
  base: Record<string, number> = {},
  together = 8,
): Promise<Answer> {
  const id = await upload(server, repository, announcementOf(repository, base), together);
  return ask(server, 'POST', `/v1/publications/${id}/commit`);
}
