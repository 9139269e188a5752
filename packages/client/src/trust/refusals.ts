/**
 * Keeps the releases that this device refused before installation, with the newest code of each. Each is reported once, as an
 * alert and in the audit trail.
 */
import { escapeText, timeText } from '@countersign/protocol';
import { clearAlert, raiseAlert } from '../device/alerts.ts';
import { appendAudit } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';

export interface Refusal {
  readonly release: string;
  readonly component: string;
  readonly version: string;
  readonly code: string;
  readonly reason: string;
}

const refusalOf = (device: Device, release: string): { component: string; code: string } | undefined =>
  device.database.prepare('SELECT component, code FROM refusal WHERE release = ?').get(release) as
    { component: string; code: string } | undefined;

/** All of them, oldest first. */
export const listRefusals = (device: Device): { component: string; version: string; code: string }[] =>
  (
    device.database.prepare('SELECT component, version, code FROM refusal ORDER BY at, component, version').all() as {
      component: string;
      version: string;
      code: string;
    }[]
  ).map((row) => ({ ...row }));

/** Keeps the newest code of a refused release and reports it once. */
export function recordRefusal(device: Device, { release, component, version, code, reason }: Refusal): void {
  if (refusalOf(device, release)?.code === code) return;
  transact(device.database, () => {
    device.database
      .prepare('INSERT OR REPLACE INTO refusal (release, component, version, code, at) VALUES (?, ?, ?, ?, ?)')
      .run(release, component, version, code, timeText(device.clock()));
    appendAudit(device, 'release-refused', { release, component, version, code, reason: escapeText(reason) });
    raiseAlert(device, {
      code,
      component,
      severity: code === 'RELEASE_BLOCKED' ? 'warning' : 'critical',
      message: `${component} ${version} is refused: ${reason}`,
    });
  });
}

/** Forgets the refusals of releases that are now judged good. */
export function forgetRefusals(device: Device, releases: readonly string[]): void {
  for (const release of releases) {
    const known = refusalOf(device, release);
    if (known === undefined) continue;
    device.database.prepare('DELETE FROM refusal WHERE release = ?').run(release);
    clearAlert(device, known.code, known.component);
  }
}
