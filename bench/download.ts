/**
 * Measures download and verification of 500 MB from nginx, in a separate process, beside `curl | tee FILE | openssl dgst -sha256`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { sideBySide, timed, type Benchmark } from './measurement.ts';
import { nginx, scratch } from './servers.ts';

const megabytes = 500;
const goals = { share: 0.8, megabytes: 150 };

/** Downloads with the product's own code and prints its peak memory. */
const script = `
  import { enableCompileCache } from 'node:module';
  enableCompileCache('../../node_modules/.cache/countersign'); // as the programs' launcher does
  await import('../../packages/client/src/small-memory.ts'); // as its main module does
  const { download } = await import('@countersign/protocol/node');
  const [url, file, length, sha256] = process.argv.slice(1);
  const start = performance.now();
  await download({ url: new URL(url), file, length: Number(length), sha256 });
  console.log(performance.now() - start, process.resourceUsage().maxRSS);`;

export const benchmark: Benchmark = {
  name: 'Download and verify',
  needs: ['nginx', 'curl', 'openssl'],
  run: async () => {
    const folder = scratch('download');
    const source = join(folder, 'large');
    const chunk = randomBytes(1 << 20);
    const hash = createHash('sha256');
    const fd = openSync(source, 'w');
    for (let index = 0; index < megabytes; index++) {
      chunk.writeUInt32LE(index);
      hash.update(chunk);
      writeSync(fd, chunk);
    }
    closeSync(fd);
    const digest = hash.digest('hex');
    const server = await nginx(folder);
    const url = `${server.url}large`;
    const memories: number[] = [];
    let files = 0;
    const ours = async (): Promise<number> => {
      const words = [url, join(folder, `ours-${files++}`), String(megabytes << 20), digest];
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, ...words], {
        cwd: join(import.meta.dirname, '../packages/client'),
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      for await (const text of child.stdout.setEncoding('utf8') as AsyncIterable<string>) output += text;
      if (output === '') throw new Error('the download failed');
      const [milliseconds, memory] = output.split(' ').map(Number);
      memories.push(memory! / 1024);
      return milliseconds!;
    };
    const theirs = (): void => {
      const command = `set -o pipefail; curl -sf ${url} | tee ${join(folder, `curl-${files++}`)} | openssl dgst -sha256`;
      const { status, stdout } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
      if (status !== 0 || !stdout.includes(digest)) throw new Error('curl failed');
    };
    const clean = (): void => {
      spawnSync('bash', ['-c', `rm -f ${folder}/ours-* ${folder}/curl-*; sync -f ${folder}`]);
    };
    // The first start fills the compile cache that later ones use.
    await ours();
    memories.length = 0;
    const [own, peer] = await sideBySide(7, [
      () => {
        clean();
        return ours();
      },
      () => {
        clean();
        return timed(theirs);
      },
    ]);
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    const rate = (milliseconds: number): number => megabytes / (milliseconds / 1000);
    const memory = Math.max(...memories);
    return [
      {
        what: `${megabytes} MB from nginx on loopback, in a running process, durable at the end`,
        unit: 'MB/s',
        ours: rate(own!),
        peer: { name: 'curl | tee | openssl', value: rate(peer!) },
        goal: { words: `at least ${goals.share} of the peer`, met: rate(own!) >= goals.share * rate(peer!) },
      },
      {
        what: 'largest memory of the process',
        unit: 'MB',
        ours: memory,
        goal: { words: `at most ${goals.megabytes} MB`, met: memory <= goals.megabytes },
      },
    ];
  },
};
