import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { countHashes, forgetHashes } from '../../../test/support/counted-hashes.ts';
import { PublishedRepository } from '../../../test/support/published-repository.ts';
import { makeServerFolder } from '../../../test/support/publishing.ts';
import { readOnlineKeys } from './online-keys.ts';
import { PublishedMetadata } from './published-metadata.ts';
import { DirectoryStore } from './repository-stores/directory.ts';
import { Repository } from './repository.ts';

interface Scene {
  readonly signed: PublishedRepository;
  readonly folder: string;
  readonly store: DirectoryStore;
  readonly repository: Repository;
  /** The signed metadata of these roles, by file name. */
  files(...names: string[]): Map<string, Buffer>;
}

function scene(): Scene {
  const signed = new PublishedRepository();
  signed.addRelease({ name: 'app', version: '1.0.0' });
  signed.publish();
  const keys = readOnlineKeys(join(makeServerFolder(signed).directory, 'server'));
  const folder = mkdtempSync(join(tmpdir(), 'countersign-repository-'));
  const store = new DirectoryStore(folder);
  const files = (...names: string[]) => new Map(names.map((name) => [name, signed.files.get(`metadata/${name}`)!]));
  return {
    signed,
    folder,
    store,
    repository: new Repository(store, new PublishedMetadata(), keys, () => signed.time),
    files,
  };
}
const first = [
  '1.root.json',
  '1.targets.json',
  '1.authority.json',
  '1.channels.json',
  '1.revocations.json',
  '1.component-app.json',
];

test('the first publication brings root and targets, and no role that nobody delegates to', async () => {
  const { repository, files } = scene();
  assert.equal(await repository.current(), null);
  for (const [names, message] of [
    [['1.targets.json'], 'the first publication holds no root'],
    [['1.root.json'], 'the first publication holds no targets'],
  ] as const)
    await assert.rejects(repository.prepare(files(...names), null), { code: 'PUBLICATION_REFUSED', message });
  const stray = files(...first).set(
    '1.component-stray.json',
    files('1.component-app.json').get('1.component-app.json')!,
  );
  await assert.rejects(repository.prepare(stray, null), {
    code: 'PUBLICATION_REFUSED',
    message: 'nobody delegates to role component-stray',
  });
  const prepared = await repository.prepare(files(...first), null);
  assert.deepEqual([prepared.timestamp, prepared.snapshot, prepared.etag], [1, 1, null]);
});

test('a version that something else took is never written over', async () => {
  const { repository, store, files } = scene();
  const prepared = await repository.prepare(files(...first), null);
  await store.putIfAbsent('metadata/1.channels.json', Buffer.from('of a publication that broke off'));
  await assert.rejects(repository.write(prepared), { code: 'PUBLICATION_VERSION_TAKEN' });
  assert.equal(await repository.current(), null, 'nothing is published');
  assert.equal(await repository.holds('1.channels.json', Buffer.from('of a publication that broke off')), true);
  assert.equal(await repository.holds('1.channels.json', Buffer.from('other')), false);
  assert.equal(await repository.holds('2.channels.json', Buffer.from('other')), false);
});

test('a snapshot version that a death took is skipped', async () => {
  const { repository, store, files } = scene();
  await store.putIfAbsent('metadata/1.snapshot.json', Buffer.from('x'));
  const prepared = await repository.prepare(files(...first), null);
  assert.deepEqual([prepared.timestamp, prepared.snapshot], [1, 2]);
  await repository.write(prepared);
  assert.equal((await repository.current())?.snapshot.version, 2);
});

test('who knew an older timestamp does not replace the newer', async () => {
  const { repository, files } = scene();
  await repository.write(await repository.prepare(files(...first), null));
  const current = await repository.current();
  const mine = await repository.prepare(new Map(), current);
  await repository.write(await repository.prepare(new Map(), current));
  await assert.rejects(repository.write({ ...mine, files: new Map([...mine.files].slice(-1)) }), {
    code: 'STORE_CONFLICT',
  });
  assert.equal((await repository.current())?.timestamp.version, 2);
});

test('a repository that lost a file says so', async () => {
  const { repository, folder, files } = scene();
  await repository.write(await repository.prepare(files(...first), null));
  rmSync(join(folder, 'metadata', '1.root.json'));
  await assert.rejects(repository.current(), { code: 'SERVER_ROOT' });
  rmSync(join(folder, 'metadata', '1.snapshot.json'));
  await assert.rejects(repository.current(), { code: 'NOT_FOUND' });
});

test('each file of a publication is hashed once, and a renewed timestamp names the snapshot as it was described', async () => {
  const { signed, repository, files } = scene();
  forgetHashes();
  const prepared = await repository.prepare(files(...first), null);
  await repository.write(prepared);
  const { 'timestamp.json': timestamp, ...others } = countHashes(prepared.files);
  assert.deepEqual(
    Object.entries(others).filter(([, count]) => count !== 1),
    [],
  );
  assert.equal(Object.keys(others).length, first.length + 1);
  // Once for devices, once for the next replacement.
  assert.equal(timestamp, 2);
  const before = await repository.current();
  signed.time = new Date(signed.time.getTime() + 13 * 3_600_000);
  assert.equal(await repository.renew(), true);
  const after = await repository.current();
  assert.equal(after?.timestamp.version, 2);
  assert.deepEqual(after?.timestamp.meta, before?.timestamp.meta);
});
