/**
 * Keeps alerts: what somebody at the device should know. There is one open alert for each code and component. Raising it again
 * only updates its words, so that a poll every few minutes does not fill the list. An alert is a notice, never a decision.
 */
import { messageOf, codeOf, escapeText, timeText } from '@countersign/protocol';
import { appendAudit } from './audit.ts';
import type { Device } from './device.ts';

export interface Alert {
  readonly id: number;
  readonly code: string;
  /** '' where it concerns the device itself. */
  readonly component: string;
  readonly severity: 'info' | 'warning' | 'critical';
  readonly message: string;
  readonly raised: string;
  readonly cleared: string | null;
}

export interface NewAlert {
  readonly code: string;
  readonly component?: string;
  readonly severity: Alert['severity'];
  readonly message: string;
}

/** Opens the alert, or updates the words of the open one. True if it is new. */
export function raiseAlert(device: Device, { code, component = '', severity, message }: NewAlert): boolean {
  const text = escapeText(message);
  const open = device.database
    .prepare('SELECT id, message FROM alert WHERE code = ? AND component = ? AND cleared IS NULL')
    .get(code, component) as { id: number; message: string } | undefined;
  if (open) {
    if (open.message !== text) device.database.prepare('UPDATE alert SET message = ? WHERE id = ?').run(text, open.id);
    return false;
  }
  device.database
    .prepare('INSERT INTO alert (code, component, severity, message, raised) VALUES (?, ?, ?, ?, ?)')
    .run(code, component, severity, text, timeText(device.clock()));
  appendAudit(device, 'alert-raised', { code, component, severity, message: text });
  device.log({ level: severity === 'info' ? 'info' : 'warn', event: 'alert', code, component, message: text });
  return true;
}

/** Raises the alert of a coded error. */
export const raiseError = (device: Device, error: unknown, severity: Alert['severity'] = 'warning'): boolean =>
  raiseAlert(device, {
    code: codeOf(error) ?? 'INTERNAL',
    severity,
    message: messageOf(error),
  });

/** Closes the alert if it is open: its cause is gone. */
export function clearAlert(device: Device, code: string, component = ''): void {
  device.database
    .prepare('UPDATE alert SET cleared = ? WHERE code = ? AND component = ? AND cleared IS NULL')
    .run(timeText(device.clock()), code, component);
}

/** Closes every open alert about the device itself for whose code `isOver` is true. */
export function clearAlerts(device: Device, isOver: (code: string) => boolean): void {
  for (const { code, component } of openAlerts(device)) if (component === '' && isOver(code)) clearAlert(device, code);
}

/** The open alerts, newest first. */
export const openAlerts = (device: Device): Alert[] =>
  device.database.prepare('SELECT * FROM alert WHERE cleared IS NULL ORDER BY id DESC').all() as unknown as Alert[];
