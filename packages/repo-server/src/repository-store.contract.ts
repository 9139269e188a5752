/** What every repository store must do; each store's test calls this with a way to make an empty one. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';
import type { RepositoryStore } from './repository-store.ts';

export function testRepositoryStore(name: string, create: () => Promise<RepositoryStore>): void {
  const bytes = (content: string): Buffer => Buffer.from(content);

  test(`${name}: keeps what was put, and never puts over it`, async () => {
    const store = await create();
    assert.equal(await store.head('metadata/1.root.json'), null);
    assert.equal(await store.read('metadata/1.root.json', 100), null);
    assert.equal(await store.putIfAbsent('metadata/1.root.json', bytes('first')), true);
    assert.equal(await store.putIfAbsent('metadata/1.root.json', bytes('second')), false);
    assert.equal((await store.read('metadata/1.root.json', 100))?.bytes.toString(), 'first');
    assert.equal((await store.head('metadata/1.root.json'))?.length, 5);
  });

  test(`${name}: streams a file whole and in ranges`, async () => {
    const store = await create();
    await store.putIfAbsent('targets/a/b.txt', bytes('0123456789'));
    assert.equal(await text(await store.open('targets/a/b.txt')), '0123456789');
    assert.equal(await text(await store.open('targets/a/b.txt', { start: 3, end: 5 })), '345');
    await assert.rejects(store.open('targets/a/c.txt'), { code: 'NOT_FOUND' });
  });

  test(`${name}: takes a local file over, once`, async () => {
    const store = await create();
    const folder = mkdtempSync(join(tmpdir(), 'countersign-store-'));
    for (const [content, taken] of [
      ['one', true],
      ['two', false],
    ] as const) {
      const file = join(folder, content);
      writeFileSync(file, content);
      assert.equal(await store.adopt('targets/x/file', file), taken);
      assert.equal(existsSync(file), false);
    }
    assert.equal(await text(await store.open('targets/x/file')), 'one');
  });

  test(`${name}: replaces only what the caller knows`, async () => {
    const store = await create();
    const first = await store.replaceIfMatch('metadata/timestamp.json', bytes('1'), null);
    await assert.rejects(store.replaceIfMatch('metadata/timestamp.json', bytes('2'), null), { code: 'STORE_CONFLICT' });
    const second = await store.replaceIfMatch('metadata/timestamp.json', bytes('2'), first);
    await assert.rejects(store.replaceIfMatch('metadata/timestamp.json', bytes('3'), first), {
      code: 'STORE_CONFLICT',
    });
    assert.notEqual(first, second);
    const read = await store.read('metadata/timestamp.json', 10);
    assert.deepEqual([read?.bytes.toString(), read?.etag], ['2', second]);
  });

  test(`${name}: lists by prefix`, async () => {
    const store = await create();
    for (const path of ['metadata/1.root.json', 'targets/a/1', 'targets/b/2'])
      await store.putIfAbsent(path, bytes('x'));
    const list = async (prefix: string): Promise<string[]> => (await Array.fromAsync(store.list(prefix))).sort();
    assert.deepEqual(await list('targets/'), ['targets/a/1', 'targets/b/2']);
    assert.deepEqual(await list('targets/b'), ['targets/b/2']);
    await assert.rejects(list('server/'), { code: 'STORE_NAME' });
  });

  test(`${name}: refuses names that lead elsewhere and files that are too large`, async () => {
    const store = await create();
    for (const bad of [
      'metadata/../x',
      '/etc/passwd',
      'targets',
      'other/x',
      'targets//x',
      'targets/.hidden',
      'targets/a\\b',
      'targets/a\0b',
      `targets/${'a'.repeat(300)}`,
    ]) {
      await assert.rejects(async () => store.head(bad), { code: 'STORE_NAME' });
      await assert.rejects(async () => store.putIfAbsent(bad, bytes('x')), { code: 'STORE_NAME' });
      await assert.rejects(async () => store.read(bad, 10), { code: 'STORE_NAME' });
    }
    await store.putIfAbsent('metadata/x.json', bytes('0123456789'));
    await assert.rejects(store.read('metadata/x.json', 9), { code: 'FILE_READ' });
  });
}
