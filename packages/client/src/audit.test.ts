import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchDevice } from '../../../test/support/scratch-device.ts';
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

const edits: Record<string, string> = {
  'a changed body': `UPDATE audit SET body = CAST('{"at":"2026-11-23T12:00:00Z"}' AS BLOB) WHERE sequence = 2`,
  'a changed kind': `UPDATE audit SET kind = 'plan-approved' WHERE sequence = 2`,
  'a changed time': `UPDATE audit SET at = '2026-11-23T12:30:00Z' WHERE sequence = 2`,
  'a changed link': `UPDATE audit SET previous = '${'1'.repeat(64)}' WHERE sequence = 2`,
  'a changed digest at the end': `UPDATE audit SET digest = '${'1'.repeat(64)}' WHERE sequence = 3`,
  'a record taken out': 'DELETE FROM audit WHERE sequence = 2',
  'the end cut off': 'DELETE FROM audit WHERE sequence = 3',
  'everything taken out': 'DELETE FROM audit',
  'a renumbered record': 'UPDATE audit SET sequence = 9 WHERE sequence = 3',
};
for (const [name, sql] of Object.entries(edits))
  test(`refuses a trail with ${name}`, () => {
    const device = withRecords();
    device.database.exec(sql);
    assert.throws(() => verifyAudit(device), { code: 'AUDIT_BROKEN' });
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
