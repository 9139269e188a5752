/**
 * Reads the time that the repository signs. Timestamp carries `x-countersign-issued`; a device keeps the highest one as a floor
 * under its own clock, so that setting the clock back does not revive expired metadata. Pure: clocks are arguments.
 */
import { parseTime } from './expiry.ts';
import type { Root, Timestamp } from './metadata.ts';
import { rotates } from './trusted-state.ts';

export const issuedField = 'x-countersign-issued';

/** If signed time is further ahead of the clock than this, the clock is trusted and the signed time is not stored. */
const maximumLead = 30 * 24 * 3600 * 1000;

/** When the timestamp was signed; undefined unless it says so as RFC 3339, UTC, whole seconds. */
export function issuedTime(timestamp: Timestamp): Date | undefined {
  const issued = Object.hasOwn(timestamp, issuedField)
    ? (timestamp as unknown as Record<string, unknown>)[issuedField]
    : undefined;
  return typeof issued === 'string' && issued.length === 20 ? parseTime(issued) : undefined;
}

/** The floor after a timestamp was accepted: the higher of the two, ignoring a time over 30 days ahead of the system clock. */
export function raiseTimeFloor(floor: Date | undefined, issued: Date | undefined, system: Date): Date | undefined {
  if (issued === undefined || issued.getTime() <= (floor?.getTime() ?? -Infinity)) return floor;
  return issued.getTime() - system.getTime() > maximumLead ? floor : issued;
}

/** Whether a new root removes the floor: a stolen timestamp key may have pushed it into the future. */
export const resetsTimeFloor = (before: Root, after: Root): boolean => rotates(before, after, 'timestamp');
