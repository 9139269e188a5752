/**
 * Measures publishing a release of 100 MB to our server: announced, uploaded, judged by both verifiers, committed. The peer is
 * curl writing the same bytes.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PublishedRepository } from '../test/support/published-repository.ts';
import { publish, type TestServer } from '../test/support/publishing.ts';
import { median, timed, type Benchmark } from './measurement.ts';
import { countersignServer, scratch } from './servers.ts';

const megabytes = 100;
const rounds = 5;

export const benchmark: Benchmark = {
  name: 'Publishing',
  needs: ['curl', 'openssl'],
  run: async () => {
    const repository = new PublishedRepository({ time: new Date().toISOString() });
    repository.publish();
    const server = await countersignServer(repository);
    await publish(server as unknown as TestServer, repository);
    const folder = scratch('publish');
    const [ours, theirs, small]: [number[], number[], number[]] = [[], [], []];
    const once = async (version: string, bytes: Buffer): Promise<number> => {
      const base = Object.fromEntries(repository.versions);
      repository.offer(
        repository.addRelease({ name: 'part', version, base: { bytes, unpacked: bytes.length, files: 1 } }),
      );
      repository.publish();
      // What this server signs by itself must not count for the publisher.
      return timed(async () => {
        const answer = await publish(server as unknown as TestServer, repository, base);
        if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
      });
    };
    for (let round = 0; round < rounds; round++) {
      const bytes = randomBytes(megabytes << 20);
      ours.push(await once(`1.0.${round}`, bytes));
      small.push(await once(`2.0.${round}`, randomBytes(1000)));
      const file = join(folder, 'file');
      writeFileSync(file, bytes);
      theirs.push(
        await timed(() => {
          const command = `curl -sf file://${file} | tee ${folder}/copy | openssl dgst -sha256 && sync -f ${folder}`;
          if (spawnSync('bash', ['-c', command]).status !== 0) throw new Error('curl failed');
        }),
      );
    }
    await server.stop();
    rmSync(server.directory, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
    return [
      {
        what: `a release of ${megabytes} MB`,
        unit: 'ms',
        ours: median(ours),
        peer: { name: 'curl | tee | openssl, synced', value: median(theirs) },
      },
      { what: 'a release of 1 kB', unit: 'ms', ours: median(small) },
    ];
  },
};
