import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifySignature } from '@countersign/protocol';
import { scratchDevice } from '../../../../test/support/scratch-device.ts';
import { exportAudit, verifyAudit } from '../device/audit.ts';
import { addAccount, listAccounts, signIn } from './accounts.ts';

const weakCostsForTests = { N: 16, r: 8, p: 1 };
const kim = {
  name: 'kim',
  printedName: '김민지',
  roles: ['technician'],
  password: '비밀번호는길어요',
  weakCostsForTests,
} as const;

const withAccount = async () => {
  const device = scratchDevice();
  await addAccount(device, kim);
  return device;
};

test('the right password opens a key whose signatures are the account key’s', async () => {
  const device = await withAccount();
  const person = await signIn(device, 'kim', kim.password);
  const signature = person.sign(Buffer.from('something')).toString('hex');
  assert.equal(verifySignature(person.publicKey, Buffer.from('something'), signature), true);
  assert.equal(listAccounts(device)[0]?.keyid, person.keyid);
  assert.equal(verifyAudit(device).records, 1);
});

test('a password in another Unicode form is the same password', async () => {
  const device = await withAccount();
  await signIn(device, 'kim', kim.password.normalize('NFD'));
});

test('costs are those of the design unless a test says otherwise', async () => {
  const device = scratchDevice();
  const { weakCostsForTests: _, ...strong } = kim;
  await addAccount(device, strong);
  const row = device.database.prepare('SELECT wrapped_key FROM account').get() as { wrapped_key: string };
  const { N, r, p } = JSON.parse(row.wrapped_key) as Record<string, number>;
  assert.deepEqual({ N, r, p }, { N: 131072, r: 8, p: 1 });
  await signIn(device, 'kim', kim.password);
});

test('refuses a wrong password, makes each next try wait twice as long, and forgets it after the right one', async () => {
  const device = await withAccount();
  await assert.rejects(signIn(device, 'kim', 'wrong password'), { code: 'ACCOUNT_REFUSED' });
  await assert.rejects(signIn(device, 'kim', kim.password), { code: 'ACCOUNT_LOCKED' });
  device.setTime('2026-11-23T12:00:02Z');
  await assert.rejects(signIn(device, 'kim', 'wrong password'), { code: 'ACCOUNT_REFUSED' });
  device.setTime('2026-11-23T12:00:03Z');
  await assert.rejects(signIn(device, 'kim', kim.password), { code: 'ACCOUNT_LOCKED' });
  device.setTime('2026-11-23T12:00:05Z');
  await signIn(device, 'kim', kim.password);
  await assert.rejects(signIn(device, 'kim', 'wrong password'), { code: 'ACCOUNT_REFUSED' });
  const row = device.database.prepare('SELECT failures FROM account').get() as { failures: number };
  assert.equal(row.failures, 1);
  assert.equal(verifyAudit(device).records, 4);
});

test('an attempt counts before its password is tried, so trying in parallel gains nothing', async () => {
  const device = await withAccount();
  const tries = await Promise.allSettled(
    ['wrong password', 'wrong passwort', kim.password].map((password) => signIn(device, 'kim', password)),
  );
  assert.deepEqual(
    tries.map((result) => (result.status === 'rejected' ? (result.reason as { code: string }).code : 'in')),
    ['ACCOUNT_REFUSED', 'ACCOUNT_LOCKED', 'ACCOUNT_LOCKED'],
  );
});

test('the wait ends at an hour, also when a wrong clock was put right', async () => {
  const device = await withAccount();
  device.database.exec(`UPDATE account SET failures = 60, locked_until = '2026-11-23T11:00:00Z'`);
  await assert.rejects(signIn(device, 'kim', 'wrong password'), { code: 'ACCOUNT_REFUSED' });
  const { locked_until: until } = device.database.prepare('SELECT locked_until FROM account').get() as {
    locked_until: string;
  };
  assert.equal(until, '2026-11-23T13:00:00Z');
  device.database.exec(`UPDATE account SET locked_until = '2031-01-01T00:00:00Z'`);
  await signIn(device, 'kim', kim.password);
});

test('an account that is not there is refused like a wrong password', async () => {
  const device = await withAccount();
  await assert.rejects(signIn(device, 'lee', kim.password), { code: 'ACCOUNT_REFUSED' });
});

test('a key row moved to another account does not open', async () => {
  const device = await withAccount();
  await addAccount(device, { ...kim, name: 'lee' });
  device.database.exec(
    `UPDATE account SET wrapped_key = (SELECT wrapped_key FROM account WHERE name = 'kim') WHERE name = 'lee'`,
  );
  await assert.rejects(signIn(device, 'lee', kim.password), { code: 'ACCOUNT_REFUSED' });
});

test('refuses bad names, short passwords and a second account of one name', async () => {
  const device = await withAccount();
  const add = (change: object) => addAccount(device, { ...kim, name: 'lee', ...change });
  await assert.rejects(add({ name: 'kim' }), { code: 'ACCOUNT_EXISTS' });
  await assert.rejects(add({ name: 'Kim Minji' }), { code: 'ACCOUNT_NAME' });
  await assert.rejects(add({ printedName: 'a\u202eb' }), { code: 'ACCOUNT_NAME' });
  await assert.rejects(add({ printedName: '  ' }), { code: 'ACCOUNT_NAME' });
  await assert.rejects(add({ password: 'seven77' }), { code: 'ACCOUNT_PASSWORD_SHORT' });
  assert.equal(listAccounts(device).length, 1);
});

test('no secret and no name stands in the audit trail', async () => {
  const device = await withAccount();
  await assert.rejects(signIn(device, 'kim', 'wrong password'));
  const records = [...exportAudit(device)].map((line) => JSON.parse(line) as { sequence?: number; body: string });
  const bodies = records.filter(({ sequence }) => sequence !== undefined).map(({ body }) => body);
  assert.ok(bodies.length >= 2);
  for (const secret of [kim.password, 'wrong password', kim.printedName, '"kim"', 'PRIVATE'])
    assert.equal(bodies.join('\n').includes(secret), false, secret);
});
