import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openMetadata, trustRoot, type Root } from '@countersign/protocol';
import { PublishedRepository } from '../../../test/support/published-repository.ts';
import { makeOnlineKeys, publicOnlineKeys, readOnlineKeys, signOnline } from './online-keys.ts';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'countersign-online-'));
const { root } = new PublishedRepository().shipped;
const naming = (keyids: string[], threshold = 1): Root => {
  const { signed } = trustRoot(root).root;
  return { ...signed, roles: { ...signed.roles, timestamp: { keyids, threshold } } };
};

test('keys are kept as they were made, for the service account alone', () => {
  const folder = scratch();
  assert.throws(() => readOnlineKeys(folder), { code: 'SERVER_MISSING' });
  const made = makeOnlineKeys(folder);
  assert.deepEqual(publicOnlineKeys(readOnlineKeys(folder)), publicOnlineKeys(made));
  assert.notEqual(made.snapshot.keyid, made.timestamp.keyid);
  if (process.platform !== 'win32') assert.equal(statSync(join(folder, 'online-keys.secret.json')).mode & 0o777, 0o600);
});

test('signs only what the root lets this key sign alone', () => {
  const keys = makeOnlineKeys(scratch());
  const { keyid } = keys.timestamp;
  const signed = { _type: 'timestamp', version: 1 };
  const bytes = signOnline('timestamp', signed, keys, naming(['0'.repeat(64), keyid]));
  assert.deepEqual(openMetadata(bytes, 'timestamp').signed(), signed);
  for (const wrong of [naming([keys.snapshot.keyid]), naming([keyid, '0'.repeat(64)], 2)])
    assert.throws(() => signOnline('timestamp', signed, keys, wrong), { code: 'SERVER_ONLINE_KEY' });
});

test('an operator may bring ed25519 keys', () => {
  const folder = scratch();
  const pem = (): string =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  writeFileSync(join(folder, 'online-keys.secret.json'), JSON.stringify({ snapshot: pem(), timestamp: pem() }));
  const keys = readOnlineKeys(folder);
  assert.equal(keys.timestamp.key.keytype, 'ed25519');
  assert.ok(signOnline('timestamp', { version: 1 }, keys, naming([keys.timestamp.keyid])).length > 100);
});
