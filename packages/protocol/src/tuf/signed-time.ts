/**
 * Time that the repository signs. Timestamp carries `x-countersign-issued`; a device keeps the highest as a floor under its own
 * clock, so that setting the clock back brings no expired metadata to life. Pure: clocks are arguments.
 */
import { parseTime } from './expiry.ts';
import type { Root, Timestamp } from './metadata.ts';
import { rotates } from './trusted-state.ts';

export const issuedField = 'x-countersign-issued';

/** A clock this far behind signed time is believed over it: such a time is not stored. */
const maximumLead = 30 * 24 * 3600 * 1000;

/** When the timestamp was signed; undefined where it does not say so as RFC 3339, UTC, whole seconds. */
export function issuedTime(timestamp: Timestamp): Date | undefined {
  const issued = Object.hasOwn(timestamp, issuedField)
    ? (timestamp as unknown as Record<string, unknown>)[issuedField]
    : undefined;
  return typeof issued === 'string' && issued.length === 20 ? parseTime(issued) : undefined;
}

/** The floor after a timestamp was accepted: the higher one, but not one over 30 days past the system clock. */
export function raiseTimeFloor(floor: Date | undefined, issued: Date | undefined, system: Date): Date | undefined {
  if (issued === undefined || issued.getTime() <= (floor?.getTime() ?? -Infinity)) return floor;
  return issued.getTime() - system.getTime() > maximumLead ? floor : issued;
}

/** Whether a new root takes the floor away: a stolen timestamp key may have pushed it into the future. */
export const resetsTimeFloor = (before: Root, after: Root): boolean => rotates(before, after, 'timestamp');
