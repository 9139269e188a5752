import assert from 'node:assert/strict';
import { mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { takeLock } from '@countersign/protocol/node';
import { PublisherList } from './publishers.ts';

const now = new Date('2026-11-23T10:00:00Z');
const scratch = (): string => mkdtempSync(join(tmpdir(), 'countersign-publishers-'));

test('a name is added once, revoked once, and may come back with another key', () => {
  const folder = scratch();
  const list = new PublisherList(folder);
  assert.deepEqual(list.list(), {});
  const key = list.add('team', now);
  assert.equal(list.authenticate(`Bearer ${key}`), 'team');
  assert.throws(() => list.add('team', now), { code: 'PUBLISHER_NAME' });
  assert.throws(() => list.revoke('other', now), { code: 'PUBLISHER_NAME' });
  list.revoke('team', now);
  assert.throws(() => list.revoke('team', now), { code: 'PUBLISHER_NAME' });
  assert.throws(() => list.authenticate(`Bearer ${key}`), { code: 'PUBLISHER_UNKNOWN' });
  const next = list.add('team', now);
  assert.notEqual(next, key);
  assert.equal(list.authenticate(`Bearer ${next}`), 'team');
  assert.throws(() => list.authenticate(`Bearer ${key}`), { code: 'PUBLISHER_UNKNOWN' });
  if (process.platform !== 'win32') assert.equal(statSync(join(folder, 'publishers.json')).mode & 0o777, 0o600);
});

test('names are small letters, digits and dashes', () => {
  const list = new PublisherList(scratch());
  for (const name of ['', '-team', 'Team', 'te am', 'team/x', '__proto__', 'a'.repeat(64)])
    assert.throws(() => list.add(name, now), { code: 'PUBLISHER_NAME' }, name);
  list.add('a'.repeat(63), now);
  list.add('constructor', now);
  assert.equal(Object.keys(list.list()).length, 2);
});

test('no key is no key, even where the list has one that would fit', () => {
  const folder = scratch();
  const publishers = { team: { key: sha256(''), created: '2026-11-23T10:00:00Z' } };
  const file = { _type: 'https://countersign.dev/publishers/v1', publishers };
  writeFileSync(join(folder, 'publishers.json'), JSON.stringify(file));
  for (const header of [undefined, '', 'Bearer '])
    assert.throws(() => new PublisherList(folder).authenticate(header), { code: 'PUBLISHER_UNKNOWN' });
});

test('a change waits for another process only so long', () => {
  const folder = scratch();
  const lock = takeLock(join(folder, 'publishers.json.lock.db'))!;
  assert.throws(() => new PublisherList(folder, 1).add('team', now), { code: 'STORE_CONFLICT' });
  lock.release();
  new PublisherList(folder, 1).add('team', now);
});
