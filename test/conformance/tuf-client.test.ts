import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { serveRepository } from '../support/repository-server.ts';
import { RepositorySimulator } from '../support/repository-simulator.ts';

const entry = join(import.meta.dirname, 'tuf-client');

/** The client in its own folder, run as the suite runs it. */
async function scene(t: TestContext) {
  const repo = new RepositorySimulator({ now: new Date(), profile: 'general' });
  const server = await serveRepository(t, repo);
  const folder = mkdtempSync(join(tmpdir(), 'countersign-conformance-'));
  const [metadata, targets, root] = ['metadata', 'targets', 'root.json'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(root, repo.rootBytes(1));
  const run = (...args: string[]): Promise<number> =>
    new Promise((done) => {
      const child = spawn(process.execPath, [entry, '--metadata-dir', metadata, ...args], {
        cwd: folder,
        stdio: 'ignore',
      });
      child.on('exit', (code) => done(code ?? -1));
    });
  return {
    repo,
    server,
    metadata,
    targets,
    run,
    init: () => run('init', root),
    refresh: () => run('--metadata-url', server.metadataUrl, 'refresh'),
    download: (...names: string[]) =>
      run(
        '--metadata-url',
        server.metadataUrl,
        ...names.flatMap((name) => ['--target-name', name]),
        ...['--target-base-url', server.targetsUrl, '--target-dir', targets, 'download'],
      ),
  };
}

test('init, refresh and download from any folder, metadata under plain names, one file a target', async (t) => {
  const { repo, server, metadata, targets, init, refresh, download } = await scene(t);
  repo.delegate('targets', 'role', ['dir/*'], { terminating: false });
  repo.addTarget('role', 'dir/a b.txt', 'content');
  repo.addTarget('targets', 'b', 'other');
  repo.publish();
  assert.equal(await init(), 0);
  assert.equal(server.paths.length, 0);
  assert.equal(await refresh(), 0);
  assert.deepEqual(readFileSync(join(metadata, 'root.json')), repo.rootBytes(2));
  assert.equal(await download('dir/a b.txt', 'b'), 0);
  const files = readdirSync(metadata).filter((name) => name.endsWith('.json'));
  assert.deepEqual(files.sort(), ['role.json', 'root.json', 'snapshot.json', 'targets.json', 'timestamp.json']);
  assert.deepEqual(
    readdirSync(targets)
      .map((name) => readFileSync(join(targets, name), 'utf8'))
      .sort(),
    ['content', 'other'],
  );
  const before = server.paths.length;
  assert.equal(await download('b'), 0);
  assert.equal(
    server.paths.slice(before).some((path) => path.startsWith('targets/')),
    false,
  );
});

test('several targets stop at the first failure', async (t) => {
  const { repo, targets, init, download } = await scene(t);
  for (const name of ['a', 'c']) repo.addTarget('targets', name, name);
  repo.publish('targets');
  await init();
  assert.equal(await download('a', 'b', 'c'), 1);
  assert.deepEqual(readdirSync(targets), ['a']);
});

test('a refused update exits 1 and keeps what was trusted', async (t) => {
  const { repo, metadata, init, refresh, run } = await scene(t);
  await init();
  assert.equal(await refresh(), 0);
  const kept = readFileSync(join(metadata, 'timestamp.json'));
  repo.timestamp.expires = '2020-01-01T00:00:00Z';
  repo.publish('timestamp');
  assert.equal(await refresh(), 1);
  assert.deepEqual(readFileSync(join(metadata, 'timestamp.json')), kept);
  assert.equal(await run('nonsense'), 1);
  assert.equal(await run('init', join(metadata, 'none')), 1);
});

test('a root that does not sign itself is never taken, and nothing is asked of the server', async (t) => {
  const { repo, server, run, refresh, metadata } = await scene(t);
  const forged = join(mkdtempSync(join(tmpdir(), 'countersign-conformance-')), 'root.json');
  repo.root.roles.root!.threshold = 2;
  writeFileSync(forged, repo.sign('root', repo.root));
  assert.equal(await run('init', forged), 1);
  assert.equal(await refresh(), 1);
  assert.equal(server.paths.length, 0);
  assert.deepEqual(readdirSync(metadata), ['history']);
});
