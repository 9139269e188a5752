import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Updater } from 'tuf-js';
import { serve } from './http-server.ts';
import { fileName } from './repository-dump.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-dump-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
let count = 0;

/** Runs these tests in a process of their own; what it said, and the folder that it was given to dump into. */
async function run(tests: string): Promise<{ said: string; dumps: string; code: number }> {
  const folder = join(scratch, String(++count));
  const dumps = join(folder, 'dumps');
  mkdirSync(folder);
  const from = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  writeFileSync(
    join(folder, 'some.test.ts'),
    `import { test } from 'node:test';
     import { RepositorySimulator } from ${from('repository-simulator.ts')};
     import { PublishedRepository } from ${from('published-repository.ts')};
     ${tests}`,
  );
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((done) => {
    const command = ['--test', '--test-reporter=spec', join(folder, 'some.test.ts')];
    const child = execFile(
      process.execPath,
      command,
      { env: { ...env, COUNTERSIGN_DUMP: dumps }, timeout: 60_000 },
      (_error, stdout, stderr) => done({ said: stdout + stderr, dumps, code: child.exitCode ?? -1 }),
    );
  });
}

test('a test that fails leaves its repository, and another TUF client reads it', async (t) => {
  const { said, dumps, code } = await run(`
    test('serves: what was "published" <later>', () => {
      const repository = new RepositorySimulator({ now: new Date() });
      repository.delegate('targets', 'apps', ['apps/*']);
      repository.addTarget('apps', 'apps/one.txt', 'first');
      repository.publish();
      throw new Error('as wanted');
    });
    test('passes', () => void new RepositorySimulator());`);
  assert.equal(code, 1, said);
  assert.deepEqual(readdirSync(dumps), ['serves_ what was _published_ _later_']);
  const folder = join(dumps, 'serves_ what was _published_ _later_', '1');
  assert.ok(said.includes(`repository of the failed test “serves: what was "published" <later>”: ${folder}`), said);
  assert.match(said, /as wanted/);
  assert.deepEqual(readdirSync(join(folder, 'metadata')).sort(), [
    '1.apps.json',
    ...['1.root.json', '1.snapshot.json', '1.targets.json'],
    ...['2.root.json', '2.snapshot.json', '2.targets.json'],
    'timestamp.json',
  ]);

  const client = join(scratch, 'client');
  mkdirSync(client);
  cpSync(join(folder, 'metadata', '1.root.json'), join(client, 'root.json'));
  const { url } = await serve(t, (request, response) => {
    const file = join(folder, ...request.url!.split('/'));
    if (existsSync(file)) response.end(readFileSync(file));
    else response.writeHead(404).end();
  });
  const updater = new Updater({
    metadataDir: client,
    targetDir: client,
    metadataBaseUrl: `${url}metadata/`,
    targetBaseUrl: `${url}targets/`,
  });
  await updater.refresh();
  const found = await updater.getTargetInfo('apps/one.txt');
  assert.ok(existsSync(await updater.downloadTarget(found!)));
});

test('tests that pass leave nothing', async () => {
  const { said, dumps, code } = await run(`
    test('passes', () => void new RepositorySimulator());
    test('passes too', () => void new PublishedRepository().publish());`);
  assert.equal(code, 0, said);
  assert.equal(existsSync(dumps), false);
});

test('repositories of the file, of the test around and of the test itself are left; those of other tests are not', async () => {
  const { said, dumps, code } = await run(`
    new RepositorySimulator();
    test('passes', () => void new RepositorySimulator());
    test('around', async (t) => {
      new PublishedRepository().publish();
      await t.test('inside', () => { new RepositorySimulator(); throw new Error('as wanted'); });
    });`);
  assert.equal(code, 1, said);
  const folder = join(dumps, 'around _ inside');
  assert.deepEqual(readdirSync(folder).sort(), ['1', '2', '3']);
  assert.deepEqual(readdirSync(join(folder, '2')).sort(), ['metadata', 'package', 'targets']);
});

test('of very many in one test the newest are left', async () => {
  const { dumps } = await run(`
    test('many', () => { for (let i = 0; i < 50; i++) new RepositorySimulator(); throw new Error('as wanted'); });`);
  assert.equal(readdirSync(join(dumps, 'many')).length, 20);
});

test('names from tests are safe everywhere', () => {
  for (const [text, expected] of [
    ['a/b\\c:d*e?"<f>|\n', 'a_b_c_d_e___f___'],
    ['..', '_'],
    ['', '_'],
    ['ends with a dot.', 'ends with a dot_'],
    ['NUL.json', '_NUL.json'],
    ['한국어 1.0', '한국어 1.0'],
    ['x'.repeat(300), 'x'.repeat(80)],
  ] as const)
    assert.equal(fileName(text, 80), expected);
});
