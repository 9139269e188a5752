import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyIdOf, signEnvelope } from '@countersign/protocol';
import { scratchDevice } from '../../../../test/support/scratch-device.ts';
import { p256Key, type TestKey } from '../../../../test/support/signing-keys.ts';
import { appendAudit, exportAudit, personCommitment, verifyAudit } from './audit.ts';
import { transact } from './database.ts';

const withRecords = () => {
  const device = scratchDevice();
  appendAudit(device, 'device-made', { model: 'Navios' });
  appendAudit(device, 'plan-offered', { plan: 'a'.repeat(64) });
  device.setTime('2026-11-23T13:00:00Z');
  appendAudit(device, 'plan-declined', { plan: 'a'.repeat(64), reason: 'not today' });
  return device;
};

test('a trail that nobody touched verifies, and exports every record', () => {
  const device = withRecords();
  const { records, head } = verifyAudit(device);
  assert.equal(records, 3);
  const lines = [...exportAudit(device)].map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(lines.length, 4);
  assert.equal(lines[0]!.head, head);
  assert.equal(lines[3]!.kind, 'plan-declined');
  assert.deepEqual(JSON.parse(lines[3]!.body as string), {
    at: '2026-11-23T13:00:00Z',
    plan: 'a'.repeat(64),
    reason: 'not today',
  });
});

test('an empty trail verifies', () => {
  assert.equal(verifyAudit(scratchDevice()).records, 0);
});

test('a record of a transaction that fails leaves no trace', () => {
  const device = withRecords();
  assert.throws(
    () =>
      transact(device.database, () => {
        appendAudit(device, 'never', {});
        throw new RangeError('no');
      }),
    RangeError,
  );
  assert.equal(verifyAudit(device).records, 3);
});

const edits: Record<string, readonly [sql: string, says: RegExp]> = {
  'a changed body': [
    `UPDATE audit SET body = CAST('{"at":"2026-11-23T12:00:00Z"}' AS BLOB) WHERE sequence = 2`,
    /record 2: its content is not what was digested/,
  ],
  'a changed kind': [`UPDATE audit SET kind = 'plan-approved' WHERE sequence = 2`, /record 2: its content is not/],
  'a changed time': [`UPDATE audit SET at = '2026-11-23T12:30:00Z' WHERE sequence = 2`, /record 2: its time is not/],
  'a changed link': [
    `UPDATE audit SET previous = '${'1'.repeat(64)}' WHERE sequence = 2`,
    /record 2: it does not follow/,
  ],
  'a changed digest at the end': [
    `UPDATE audit SET digest = '${'1'.repeat(64)}' WHERE sequence = 3`,
    /record 3: its content/,
  ],
  'a record taken out': ['DELETE FROM audit WHERE sequence = 2', /record 3: record 2 is missing before it/],
  'the end cut off': ['DELETE FROM audit WHERE sequence = 3', /the trail ends at record 2, the device last wrote 3/],
  'everything taken out': ['DELETE FROM audit', /the trail ends at record 0, the device last wrote 3/],
  'a renumbered record': [
    'UPDATE audit SET sequence = 9 WHERE sequence = 3',
    /record 9: record 3 is missing before it/,
  ],
};
for (const [name, [sql, message]] of Object.entries(edits))
  test(`refuses a trail with ${name}`, () => {
    const device = withRecords();
    device.database.exec(sql);
    assert.throws(() => verifyAudit(device), { code: 'AUDIT_BROKEN', message });
  });

test('a trail that was made again from the start, every digest right, still has no signature of its people', async () => {
  const [kim, lee] = [p256Key(), p256Key()];
  const approval = (signer: TestKey, keyid = keyIdOf(signer.key)) =>
    signEnvelope('application/vnd.example+json', Buffer.from('{"plan":1}'), [{ keyid, sign: signer.sign }]);
  const trail = async (envelope: ReturnType<typeof approval>) => {
    const device = scratchDevice();
    appendAudit(device, 'account-added', { keyid: keyIdOf(kim.key), key: kim.key });
    appendAudit(device, 'plan-approved', { envelope: await envelope });
    return () => verifyAudit(device);
  };
  assert.equal((await trail(approval(kim)))().records, 2);
  assert.throws(await trail(approval(lee)), {
    code: 'AUDIT_BROKEN',
    message: /record 2: the key .* was never introduced/,
  });
  assert.throws(await trail(approval(lee, keyIdOf(kim.key))), {
    code: 'AUDIT_BROKEN',
    message: /record 2: the signature of key .* does not hold/,
  });
});

test('a clear name must be the one committed to; erasing it leaves the trail whole', () => {
  const device = withRecords();
  const commitment = personCommitment('5a', 'kim', 'Kim Minji');
  device.database.prepare('INSERT INTO audit_person VALUES (?, ?, ?, ?)').run(commitment, '5a', 'kim', 'Kim Minji');
  assert.equal(verifyAudit(device).records, 3);
  device.database.exec(`UPDATE audit_person SET printed_name = 'Somebody Else'`);
  assert.throws(() => verifyAudit(device), { code: 'AUDIT_BROKEN' });
  device.database.exec('DELETE FROM audit_person');
  assert.equal(verifyAudit(device).records, 3);
});
