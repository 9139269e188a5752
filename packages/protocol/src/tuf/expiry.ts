/** Reads and checks times in metadata (§4.2: ISO 8601, UTC). An expiry that cannot be read is a refusal, never "does not expire". */
import { tufError } from './tuf-errors.ts';

const pattern = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?Z$/;

/** The instant; undefined where the text is not a valid time (30 February, hour 24, an offset). */
export function parseTime(text: string): Date | undefined {
  const parts = pattern.exec(text);
  if (!parts) return undefined;
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return undefined;
  const read = [time.getUTCFullYear(), time.getUTCMonth() + 1, time.getUTCDate()];
  read.push(time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds());
  return read.every((value, index) => value === Number(parts[index + 1])) ? time : undefined;
}

/** §5.3.10, §5.4.4, §5.5.6, §5.6.5. At the instant of expiry metadata is expired. @throws TUF_EXPIRED */
export function checkExpiry(signed: { readonly expires: string }, now: Date, what: string): void {
  const expires = parseTime(signed.expires);
  // Either is invalid only if a caller made it up; NaN would compare as "not expired".
  if (expires === undefined || !(now.getTime() < expires.getTime()))
    throw tufError('TUF_EXPIRED', `${what} expired at ${signed.expires}, it is ${timeText(now)}`, {
      context: { expires: signed.expires, now: timeText(now) },
    });
}

/** RFC 3339, UTC, whole seconds. */
export const timeText = (time: Date): string =>
  Number.isNaN(time.getTime()) ? 'no time' : `${time.toISOString().slice(0, 19)}Z`;
