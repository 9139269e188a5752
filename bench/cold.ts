/** Measures how a device that knows only its shipped root fetches, verifies and keeps everything for one target, beside tuf-js. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Updater } from 'tuf-js';
import { directoryStore, httpSource, lookUp, refresh } from '@countersign/protocol/node';
import { sideBySide, timed, type Benchmark, type Row } from './measurement.ts';
import { generateRepository } from './repository.ts';
import { scratch } from './servers.ts';

async function measure(count: number, bits: number): Promise<Row> {
  const repository = generateRepository(count, bits);
  const server = createServer((request, response) => {
    const bytes = repository.files.get(request.url!.slice('/metadata/'.length));
    if (!bytes) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const place = scratch('cold');
  const ours = async (): Promise<void> => {
    const store = directoryStore(mkdtempSync(join(place, 'ours-')));
    const source = httpSource({ metadataUrl: `${url}metadata/` });
    const session = await refresh({ source, store, shippedRoot: repository.root, now: new Date(), profile: 'general' });
    if (!(await lookUp(session, repository.target)).target) throw new Error('the target is not found');
  };
  const theirs = async (): Promise<void> => {
    const metadataDir = join(mkdtempSync(join(place, 'theirs-')), 'metadata');
    mkdirSync(metadataDir);
    writeFileSync(join(metadataDir, 'root.json'), repository.root);
    const updater = new Updater({ metadataDir, metadataBaseUrl: `${url}metadata`, targetDir: place });
    await updater.refresh();
    if (!(await updater.getTargetInfo(repository.target))) throw new Error('the target is not found');
  };
  const [own, peer] = await sideBySide(9, [() => timed(ours), () => timed(theirs)]);
  server.close().closeAllConnections();
  rmSync(place, { recursive: true, force: true });
  return {
    what: `cold refresh and one target of ${count}${bits > 0 ? ` in ${2 ** bits} bins` : ''}`,
    unit: 'ms',
    ours: own!,
    peer: { name: 'tuf-js', value: peer! },
  };
}

export const benchmark: Benchmark = {
  name: 'Cold refresh',
  needs: [],
  run: async () => [await measure(100, 0), await measure(1000, 0), await measure(10_000, 6)],
};
