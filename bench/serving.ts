/**
 * Measures serving of metadata and targets, requested by wrk over kept-alive connections: our server, a bare node:http, nginx
 * with one worker.
 */
import { spawn } from 'node:child_process';
import { globSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { PublishedRepository } from '../test/support/published-repository.ts';
import { publish, type TestServer } from '../test/support/publishing.ts';
import { sideBySide, type Benchmark } from './measurement.ts';
import { bareNode, countersignServer, nginx } from './servers.ts';

const seconds = 3;
const goal = 0.7;

/** Requests per second. */
async function load(url: string, ...headers: string[]): Promise<number> {
  const child = spawn('wrk', ['-t1', '-c32', `-d${seconds}s`, ...headers.flatMap((header) => ['-H', header]), url]);
  let output = '';
  for await (const text of child.stdout.setEncoding('utf8') as AsyncIterable<string>) output += text;
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(output)?.[1];
  if (rate === undefined) throw new Error(output);
  return Number(rate);
}

export const benchmark: Benchmark = {
  name: 'Serving',
  needs: ['wrk', 'nginx'],
  run: async () => {
    const repository = new PublishedRepository({ time: new Date().toISOString() });
    const bytes = randomBytes(8 << 20);
    const base = { bytes, unpacked: bytes.length, files: 1 };
    repository.offer(repository.addRelease({ name: 'part', version: '1.0.0', base }));
    repository.publish();
    const ours = await countersignServer(repository);
    const answer = await publish(ours as unknown as TestServer, repository);
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
    const files = globSync('targets/components/**/*.tar.zst', { cwd: ours.directory });
    const target = files.find((name) => statSync(join(ours.directory, name)).size === bytes.length)!;
    const metadata = join(ours.directory, 'bench.json');
    writeFileSync(metadata, Buffer.from(await (await fetch(`${ours.url}metadata/timestamp.json`)).arrayBuffer()));
    const etag = (await fetch(`${ours.url}metadata/timestamp.json`)).headers.get('etag')!;
    const [bare, streaming, web] = [
      await bareNode(metadata, 'memory'),
      await bareNode(join(ours.directory, target), 'stream'),
      await nginx(ours.directory),
    ];
    const own = `${ours.url}metadata/timestamp.json`;
    const [whole, bareWhole, webWhole] = await sideBySide(3, [
      () => load(own),
      () => load(bare.url),
      () => load(`${web.url}${basename(metadata)}`),
    ]);
    const [unchanged, bareUnchanged] = await sideBySide(3, [
      () => load(own, `If-None-Match: ${etag}`),
      () => load(bare.url, 'If-None-Match: "e"'),
    ]);
    const megabytes = bytes.length / 1e6;
    const [file, bareFile, webFile] = (
      await sideBySide(3, [
        () => load(`${ours.url}${target}`),
        () => load(streaming.url),
        () => load(`${web.url}${target}`),
      ])
    ).map((rate) => rate * megabytes);
    for (const server of [ours, bare, streaming, web]) await server.stop();
    rmSync(ours.directory, { recursive: true, force: true });
    const met = (value: number, peer: number) => ({
      words: `at least ${goal} of bare node:http`,
      met: value >= goal * peer,
    });
    const node = (value: number) => ({ name: 'bare node:http', value });
    return [
      {
        what: 'timestamp.json',
        unit: 'requests/s',
        ours: whole!,
        peer: node(bareWhole!),
        goal: met(whole!, bareWhole!),
      },
      {
        what: 'timestamp.json, beside nginx',
        unit: 'requests/s',
        ours: whole!,
        peer: { name: 'nginx', value: webWhole! },
      },
      {
        what: 'timestamp.json, 304',
        unit: 'requests/s',
        ours: unchanged!,
        peer: node(bareUnchanged!),
        goal: met(unchanged!, bareUnchanged!),
      },
      { what: 'target of 8 MB', unit: 'MB/s', ours: file!, peer: node(bareFile!) },
      { what: 'target of 8 MB, beside nginx', unit: 'MB/s', ours: file!, peer: { name: 'nginx', value: webFile! } },
    ];
  },
};
