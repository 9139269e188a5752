/**
 * A server's folder with one publication in it, and the next one ready: the start of tests of crashes and power cuts. The next
 * one brings a new root, a release with two files of the same content, and an offer.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, globSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { consistentTargetName, sha256 } from '@countersign/protocol';
import { httpSource, lookUp, refresh, type MetadataStore } from '@countersign/protocol/node';
import { startServer, type RunningServer } from '@countersign/repo-server';
import { PublishedRepository } from './published-repository.ts';
import { makeServerFolder, publish, type Answer, type Api, type ServerFolder } from './publishing.ts';
import { startServerProgram, type ServerProgram } from './server-program.ts';
import { ed25519Key } from './signing-keys.ts';

export type Versions = Record<string, number>;

export interface PublicationScene {
  readonly repository: PublishedRepository;
  /** Holds the first publication. */
  readonly folder: ServerFolder;
  /** Publishes the second: one upload after the other, so that the server's calls come in the same order each time. */
  publishNext(server: Api): Promise<Answer>;
  /** What a device sees: the versions of all roles. Checks that every file that they list is there with its exact bytes. */
  seen(server: Pick<Api, 'url'>, store: MetadataStore): Promise<Versions>;
  /** Ends what still runs, and removes the folder and its copies. */
  remove(): Promise<void>;
}

export async function makePublicationScene(): Promise<PublicationScene> {
  const repository = new PublishedRepository({ time: new Date().toISOString() });
  repository.offer(repository.addRelease({ name: 'app', version: '1.0.0' }));
  repository.publish();
  const folder = makeServerFolder(repository);
  const server = await restart(folder);
  assert.equal((await publish(server, repository)).status, 200);
  await server.close();
  const base = Object.fromEntries(repository.versions);
  const archive = { bytes: Buffer.from('twice the same'), unpacked: 14, files: 1 };
  const capabilities = [{ id: 'view', archive }];
  repository.rotateRoot(() => repository.keys.set('root', [ed25519Key(), ed25519Key()]));
  repository.offer(repository.addRelease({ name: 'app', version: '1.1.0', base: archive, capabilities }));
  repository.publish();
  return {
    repository,
    folder,
    publishNext: (api) => publish(api, repository, base, 1),
    seen: (api, store) => seen(api, store, repository.shipped.root),
    remove: async () => {
      await Promise.all([...running].map((stop) => stop()));
      for (const directory of globSync(`${folder.directory}*`)) rmSync(directory, { recursive: true });
    },
  };
}

async function seen({ url }: Pick<Api, 'url'>, store: MetadataStore, shippedRoot: Buffer): Promise<Versions> {
  const source = httpSource({ metadataUrl: new URL('metadata/', url) });
  const session = await refresh({ source, store, shippedRoot, now: new Date(), profile: 'strict' });
  for (const { paths } of session.state.targets.get('targets')!.signed.delegations!.roles!)
    await lookUp(session, paths![0]!.replaceAll('*', '-'));
  const { root, timestamp, snapshot, targets } = session.state;
  for (const { signed } of targets.values())
    for (const [path, { length, hashes }] of Object.entries(signed.targets)) {
      const response = await fetch(new URL(`targets/${consistentTargetName(path, hashes.sha256!)}`, url));
      const bytes = Buffer.from(await response.arrayBuffer());
      assert.deepEqual([bytes.length, sha256(bytes)], [length, hashes.sha256], path);
    }
  const meta = Object.entries(snapshot!.signed.meta).map(([name, { version }]) => [name.replace('.json', ''), version]);
  assert.deepEqual(meta.map(([name]) => name).sort(), [...targets.keys()].sort(), 'every role was looked at');
  return {
    root: root.signed.version,
    timestamp: timestamp!.signed.version,
    snapshot: snapshot!.signed.version,
    ...Object.fromEntries(meta),
  };
}

/** The offline roles, which a publication writes together; a new root comes just before them. */
export const offlineOf = ({ root: _root, timestamp: _timestamp, snapshot: _snapshot, ...roles }: Versions): Versions =>
  roles;

export function copyOf(folder: ServerFolder, name: string): ServerFolder {
  const directory = `${folder.directory}-${name}`;
  cpSync(folder.directory, directory, { recursive: true });
  return { ...folder, directory };
}

/** What a test that failed leaves behind. */
const running = new Set<() => Promise<unknown>>();

/** Starts the server as the program does, but in this process, which saves a second. */
export async function restart({ directory, shipped, apiKey }: ServerFolder): Promise<RunningServer & Api> {
  const server = await startServer({ directory, ...shipped, host: '127.0.0.1', port: 0, logger: false });
  const { close } = server;
  running.add(close);
  return { ...server, apiKey, close: () => (running.delete(close), close()) };
}

const preload = pathToFileURL(join(import.meta.dirname, 'fault-preload.mjs')).href;
/** Changing calls count from the moment when the test says `arm`. */
export const onDemand = `process.on('message', (word) => process.send(globalThis.faults[word]() ?? 0)); process.channel?.unref();`;
export const fromTheStart = `globalThis.faults.arm(); ${onDemand}`;

/** The server's own program under the fault preload. */
export async function startUnderFaults(
  folder: ServerFolder,
  script: string,
  environment: Record<string, string> = {},
): Promise<ServerProgram> {
  const server = await startServerProgram(folder, {
    imports: [preload, `data:text/javascript,${encodeURIComponent(script)}`],
    environment: { FAULT_ROOT: folder.directory, ...environment },
  });
  const stop = (): Promise<void> => end(server);
  running.add(stop);
  void server.ended.then(() => running.delete(stop));
  return server;
}

/** Calls `faults.arm`, `faults.count` or `faults.take` in the program. */
export async function tell<T>(server: ServerProgram, word: 'arm' | 'count' | 'take'): Promise<T> {
  const answered = once(server.process, 'message') as Promise<[T]>;
  server.process.send(word);
  return (await answered)[0];
}

export async function end(server: ServerProgram): Promise<void> {
  server.process.kill('SIGKILL');
  await server.ended;
}
