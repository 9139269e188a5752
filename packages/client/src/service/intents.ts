/**
 * Lets many commands ask one writer. A command that changes the device does so itself under the device lock. If the service holds
 * the lock, the command leaves an intent in the database and waits for the service's answer. If the service dies meanwhile, the
 * command takes the lock and acts. An intent is answered once; it never holds a secret.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf, CountersignError, timeText } from '@countersign/protocol';
import { describeError } from '@countersign/protocol/terminal';
import { withLock, type Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import { writeGrants } from '../generations/grants.ts';
import { openJob } from '../generations/journal.ts';
import { recover } from '../installing/recovery.ts';

/** What a command asks for; the answer is plain JSON. */
export type Handlers = Readonly<Record<string, (payload: never) => Promise<unknown>>>;
/** Which commands an answering pass takes. */
export type CommandFilter = (command: string) => boolean;

interface IntentRow {
  readonly id: number;
  readonly command: string;
  readonly payload: string;
}

const patienceMilliseconds = 4 * 3600_000;

/**
 * Does `command` here or has the running service do it. @throws what the handler throws, or DEVICE_BUSY when another command
 * holds the lock and nobody answers within `patience`
 */
export async function perform<T>(
  device: Device,
  handlers: Handlers,
  command: string,
  payload: unknown,
  patience = patienceMilliseconds,
): Promise<T> {
  const handler = handlers[command] as ((payload: unknown) => Promise<T>) | undefined;
  if (!handler) throw new RangeError(`no handler for ${command}`);
  const { database } = device;
  let id: number | bigint | undefined;
  const end = performance.now() + patience;
  for (let tried = -Infinity; ; await pause(50)) {
    const answer = takeAnswer(device, id);
    if (answer !== null) return readAnswer<T>(answer);
    if (performance.now() - tried < 500) continue;
    tried = performance.now();
    try {
      const act = async (): Promise<T> => {
        // The service may have answered right before the lock became free.
        const late = takeAnswer(device, id);
        if (late !== null) return readAnswer<T>(late);
        // The service has ended, so the request is carried out here.
        if (id !== undefined) database.prepare('DELETE FROM intent WHERE id = ?').run(id);
        return attending(device, handlers, async () => {
          await mend(device);
          return handler(payload);
        });
      };
      return await withLock(device, act, { waitMilliseconds: 0 });
    } catch (error) {
      if (codeOf(error) !== 'DEVICE_BUSY') throw error;
      if (tried > end) {
        if (id !== undefined) database.prepare('DELETE FROM intent WHERE id = ? AND answered IS NULL').run(id);
        throw error;
      }
      id ??= database
        .prepare('INSERT INTO intent (command, payload, created) VALUES (?, ?, ?)')
        .run(command, JSON.stringify(payload), timeText(device.clock())).lastInsertRowid;
    }
  }
}

/** The answer to an intent, once; null while there is none. */
function takeAnswer({ database }: Device, id: number | bigint | undefined): string | null {
  if (id === undefined) return null;
  const row = database.prepare('SELECT answer FROM intent WHERE id = ? AND answered IS NOT NULL').get(id) as
    { answer: string } | undefined;
  if (row === undefined) return null;
  database.prepare('DELETE FROM intent WHERE id = ?').run(id);
  return row.answer;
}

/** A revocation must not wait for a running installation. */
const isUrgent: CommandFilter = (command) => command === 'revoke';
export const canWait: CommandFilter = (command) => !isUrgent(command);

/** Does long work under the lock and meanwhile answers urgent intents. */
export async function attending<T>(device: Device, handlers: Handlers, work: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const attendant = (async () => {
    while (!over.signal.aborted) {
      try {
        await answerIntents(device, handlers, isUrgent);
      } catch (error) {
        device.log({ level: 'error', event: 'intent-failed', message: String(error) });
      }
      await pause(100, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  try {
    return await work();
  } finally {
    over.abort();
    await attendant;
  }
}

/** First finishes or undoes what an interruption left, and rewrites `grants/` from the database. */
async function mend(device: Device): Promise<void> {
  if (openJob(device)) await recover(device);
  else writeGrants(device);
}

/** For the holder of the lock: answers the waiting intents that `choice` takes, oldest first. True when there was one. */
export async function answerIntents(device: Device, handlers: Handlers, choice: CommandFilter): Promise<boolean> {
  const { database } = device;
  const waiting = (
    database
      .prepare('SELECT id, command, payload FROM intent WHERE answered IS NULL ORDER BY id')
      .all() as unknown as IntentRow[]
  ).filter(({ command }) => choice(command));
  for (const { id, command, payload } of waiting) {
    const answer = await handle(handlers, command, payload);
    database
      .prepare('UPDATE intent SET answered = ?, answer = ? WHERE id = ?')
      .run(timeText(device.clock()), JSON.stringify(answer), id);
  }
  return waiting.length > 0;
}

/** At its start a service drops old intents that a dead service left: nobody waits for them any more. */
export function dropOldIntents(device: Device): void {
  const before = timeText(new Date(device.clock().getTime() - 60_000));
  device.database.prepare('DELETE FROM intent WHERE created < ?').run(before);
}

async function handle(handlers: Handlers, command: string, payload: string): Promise<object> {
  const handler = Object.hasOwn(handlers, command)
    ? (handlers[command] as (payload: unknown) => Promise<unknown>)
    : undefined;
  try {
    if (!handler) throw clientError('DEVICE_TOO_NEW', `the running service does not know ${command}`);
    return { value: (await handler(JSON.parse(payload))) ?? null };
  } catch (error) {
    return { error: describeError(error) };
  }
}

function readAnswer<T>(text: string): T {
  const answer = JSON.parse(text) as { value?: T; error?: { code: string; message: string; hint: string } };
  if (answer.error) throw new CountersignError(answer.error.code, answer.error.message, answer.error.hint);
  return answer.value as T;
}
