import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { diagnose } from '@countersign/protocol/terminal';
import { installedApp } from '../../../../test/support/installed-app.ts';
import { scratchDevice } from '../../../../test/support/scratch-device.ts';
import { overwriteRows } from '../../../../test/support/tampering.ts';
import { raiseAlert } from '../device/alerts.ts';
import type { Device } from '../device/device.ts';
import { currentGeneration } from '../generations/generations.ts';
import { archiveFolder } from '../generations/store.ts';
import { deviceChecks } from './doctor.ts';

const codesOf = async (device: Device): Promise<string[]> =>
  (await diagnose(deviceChecks(device))).map(({ code }) => code);

test('a device that was never set up says each thing that it lacks', async () => {
  assert.deepEqual(await codesOf(scratchDevice()), ['DEVICE_PACKAGE', 'ACCOUNT_MISSING', 'POLL_NEVER', 'TRUST_SERVER']);
});

test('nothing is found on a device that is well; damage, a broken trail and alerts are found together', async (t) => {
  const { device } = await installedApp(t);
  assert.deepEqual(await codesOf(device), []);
  raiseAlert(device, { code: 'METADATA_EXPIRED', severity: 'warning', message: 'too old' });
  raiseAlert(device, { code: 'AUDIT_BROKEN', severity: 'critical', message: 'told by the check itself' });
  raiseAlert(device, { code: 'UPDATE_OFFERED', severity: 'info', message: 'no fault' });
  rmSync(join(device.directory, 'package', 'root.json'));
  overwriteRows(device, 'audit', { at: '2026-01-01T00:00:00Z' });
  const [archive] = currentGeneration(device)!.components[0]!.archives;
  writeFileSync(join(archiveFolder(device, archive!.sha256), 'left-behind'), '');
  assert.deepEqual(await codesOf(device), ['DEVICE_PACKAGE', 'AUDIT_BROKEN', 'STORE_DAMAGED', 'METADATA_EXPIRED']);
});
