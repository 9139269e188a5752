import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PublishedRepository } from '../../../test/support/published-repository.ts';
import { makeServerFolder, type ServerFolder } from '../../../test/support/publishing.ts';
import { serverChecks } from './doctor.ts';
import { DirectoryStore } from './repository-stores/directory.ts';
import { startServer, type ServerOptions } from './server.ts';

const repository = new PublishedRepository();
const other = new PublishedRepository();

const optionsOf = ({ directory, shipped }: ServerFolder, change: Partial<ServerOptions> = {}): ServerOptions => ({
  directory,
  ...shipped,
  host: '127.0.0.1',
  port: 0,
  logger: false,
  clock: () => repository.time,
  ...change,
});
async function startAndStop(options: ServerOptions): Promise<void> {
  await (await startServer(options)).close();
}

test('what is shipped is given at the first start, kept, and never given otherwise', async () => {
  for (const name of ['root', 'codesign', 'devices'] as const) {
    const folder = makeServerFolder(repository);
    const without = optionsOf(folder, { [name]: undefined });
    await assert.rejects(startAndStop(without), { code: 'SERVER_ROOT', message: /^the server was given no / });
    const missing = optionsOf(folder, { [name]: join(folder.directory, 'none') });
    await assert.rejects(startAndStop(missing), { code: 'SERVER_ROOT', message: /none is missing$/ });
    const kept = join(folder.directory, 'server', name === 'root' ? 'root.json' : `${name}.jsonl`);
    assert.equal(existsSync(kept), false, 'a start that failed keeps nothing');
    await startAndStop(optionsOf(folder));
    assert.deepEqual(readFileSync(kept), Buffer.from(repository.shipped[name]));
    await startAndStop(without);
    await startAndStop(optionsOf(folder));
    writeFileSync(folder.shipped[name], other.shipped[name]);
    await assert.rejects(startAndStop(optionsOf(folder)), { code: 'SERVER_ROOT', message: /is not the file/ });
    await startAndStop(without);
    rmSync(folder.directory, { recursive: true });
  }
});

test('refuses a shipped package that nobody signed', async () => {
  for (const [name, code] of [
    ['root', /^(TUF|METADATA|FORMAT)_/],
    ['codesign', /^(AUTHORITY|FORMAT|DSSE)_/],
    ['devices', /^(AUTHORITY|FORMAT|DSSE)_/],
  ] as const) {
    const folder = makeServerFolder(repository);
    const text = repository.shipped[name].toString();
    const bent = text.replace(/"sig":"(..)/, (_, start) => `"sig":"${start === '00' ? '01' : '00'}`);
    assert.notEqual(bent, text);
    writeFileSync(folder.shipped[name], bent);
    await assert.rejects(startAndStop(optionsOf(folder)), (error: { code: string }) => code.test(error.code));
    assert.equal(existsSync(join(folder.directory, 'server', 'root.json')), false);
    rmSync(folder.directory, { recursive: true });
  }
});

test('a folder without a server has none to start nor to examine', async () => {
  const folder = makeServerFolder(repository);
  rmSync(join(folder.directory, 'server', 'online-keys.secret.json'));
  await assert.rejects(startAndStop(optionsOf(folder)), { code: 'SERVER_MISSING', message: /holds no server$/ });
  const empty = mkdtempSync(join(tmpdir(), 'countersign-empty-'));
  assert.throws(() => serverChecks(empty, (folder) => new DirectoryStore(folder), new Date()), {
    code: 'SERVER_MISSING',
    message: /holds no server$/,
  });
});
