/**
 * One process at a time: an exclusive SQLite transaction on a file of its own, which the system gives back when the process
 * dies, whatever the reason. On POSIX the file must never be opened or closed by other means: that would drop the lock.
 */
import { DatabaseSync } from 'node:sqlite';

export interface ExclusiveLock {
  release(): void;
}

/** SQLite's primary result code for "somebody else has it". */
const busy = 5;

/** Takes the lock within `waitMilliseconds`; null where another process keeps it. @throws where the file cannot be used at all */
export function takeLock(file: string, waitMilliseconds = 0): ExclusiveLock | null {
  const database = new DatabaseSync(file, { timeout: waitMilliseconds });
  try {
    // Nothing is ever written, so no journal is needed, and the lock can be had on a full disk too. SQLite's exclusive locking
    // mode is not for this: there two who come together each keep the shared lock that the other waits for.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release: () => database.close() };
  } catch (cause) {
    database.close();
    if ((cause as { errcode?: number }).errcode === busy) return null;
    throw cause;
  }
}
