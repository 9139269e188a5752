/**
 * Measures the poll in which nothing is new, in a running process against our own server over a kept-alive connection. It takes
 * wall time, CPU as the mean of 1000, and every byte of HTTP in both directions, counted on the socket. The peer is tuf-js
 * refreshing the same repository.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Updater } from 'tuf-js';
import { withLock } from '../packages/client/src/device/device.ts';
import { writeSetting } from '../packages/client/src/device/settings.ts';
import { poll } from '../packages/client/src/service/polling.ts';
import { PublishedRepository } from '../test/support/published-repository.ts';
import { publish, type TestServer } from '../test/support/publishing.ts';
import { repositoryDevice } from '../test/support/repository-device.ts';
import { median, timed, type Benchmark, type Row } from './measurement.ts';
import { countersignServer, scratch } from './servers.ts';

const polls = 1000;
const goals = { milliseconds: 1, bytes: 600 };

/** Passes everything on and counts it. */
async function counted(url: string) {
  const target = new URL(url);
  const count = { bytes: 0, connections: 0 };
  const server = createServer((near) => {
    count.connections++;
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true);
      from.on('data', (chunk: Buffer) => {
        count.bytes += chunk.length;
        to.write(chunk);
      });
      from.on('close', () => to.destroy());
      from.on('error', () => to.destroy());
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { count, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

async function measure(releases: number): Promise<Row[]> {
  const repository = new PublishedRepository({ time: new Date().toISOString() });
  for (let index = 0; index < releases; index++)
    repository.offer(repository.addRelease({ name: `part-${Math.floor(index / 50)}`, version: `1.0.${index}` }));
  repository.publish();
  const endings: (() => unknown)[] = [];
  const t = { after: (end: () => unknown) => void endings.push(end) } as unknown as TestContext;
  const server = await countersignServer(repository);
  const answer = await publish(server as unknown as TestServer, repository);
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  const proxy = await counted(server.url);
  const { device } = await repositoryDevice(t, repository, { servers: [server.url] });
  device.setTime(new Date().toISOString());
  const once = (): Promise<number> => timed(() => poll(device));
  const rows = await withLock(device, async () => {
    await once();
    const walls: number[] = [];
    const start = process.cpuUsage();
    for (let index = 0; index < polls; index++) walls.push(await once());
    const { user, system } = process.cpuUsage(start);
    const theirs = await tufJs(repository, server.url);
    const wall = median(walls);
    const targets = `${releases * 4} targets`;
    return [
      {
        what: `unchanged poll, ${targets}`,
        unit: 'ms',
        ours: wall,
        peer: { name: 'tuf-js', value: theirs },
        goal: { words: `at most ${goals.milliseconds} ms`, met: wall <= goals.milliseconds },
      },
      { what: `CPU of one, mean of ${polls}, ${targets}`, unit: 'ms', ours: (user + system) / 1000 / polls },
    ];
  });
  writeSetting(device.database, 'servers', [proxy.url]);
  await withLock(device, async () => {
    await poll(device);
    proxy.count.bytes = 0;
    for (let index = 0; index < 100; index++) await poll(device);
  });
  const bytes = proxy.count.bytes / 100;
  for (const end of endings) await end();
  proxy.close();
  await server.stop();
  rmSync(server.directory, { recursive: true, force: true });
  return [
    ...rows,
    {
      what: `HTTP bytes of one, both ways, ${releases * 4} targets`,
      unit: 'bytes',
      ours: bytes,
      goal: { words: `at most ${goals.bytes} bytes`, met: bytes <= goals.bytes },
    },
  ];
}

/** The peer, with everything already in its folder. */
async function tufJs(repository: PublishedRepository, url: string): Promise<number> {
  const metadataDir = join(scratch('tuf-js'), 'metadata');
  mkdirSync(metadataDir);
  writeFileSync(join(metadataDir, 'root.json'), repository.shipped.root);
  const options = { metadataDir, metadataBaseUrl: `${url}metadata` };
  await new Updater(options).refresh();
  const walls: number[] = [];
  for (let index = 0; index < 15; index++) walls.push(await timed(() => new Updater(options).refresh()));
  return median(walls);
}

export const benchmark: Benchmark = {
  name: 'Polling',
  needs: [],
  run: async () => [...(await measure(3)), ...(await measure(250))],
};
