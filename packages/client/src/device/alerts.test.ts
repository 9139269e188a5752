import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratchDevice } from '../../../../test/support/scratch-device.ts';
import { clearAlert, openAlerts, raiseAlert, raiseError } from './alerts.ts';
import { verifyAudit } from './audit.ts';

test('one alert stays open for each code and component, and comes back after it was cleared', () => {
  const device = scratchDevice();
  const alert = { code: 'CLOCK_BEHIND', severity: 'warning', message: 'an hour' } as const;
  assert.equal(raiseAlert(device, alert), true);
  assert.equal(raiseAlert(device, { ...alert, message: 'two\nhours' }), false);
  assert.equal(raiseAlert(device, { ...alert, component: 'diagnostics' }), true);
  assert.deepEqual(
    openAlerts(device).map(({ component, message }) => [component, message]),
    [
      ['diagnostics', 'an hour'],
      ['', 'two\\u{a}hours'],
    ],
  );
  clearAlert(device, 'CLOCK_BEHIND');
  assert.equal(openAlerts(device).length, 1);
  assert.equal(raiseError(device, Object.assign(new Error('again'), { code: 'CLOCK_BEHIND' })), true);
  assert.equal(verifyAudit(device).records, 3);
});
