/**
 * A lock that one process holds at a time: an exclusive SQLite transaction on a separate file. The system releases it when the
 * process dies, for any reason. On POSIX the file must never be opened or closed by other means: that would drop the lock.
 */
import { DatabaseSync } from 'node:sqlite';

export interface ExclusiveLock {
  release(): void;
}

/** SQLite's primary result code for "somebody else has it". */
const busy = 5;

/** Takes the lock within `waitMilliseconds`; null where another process keeps it. @throws if the file cannot be used at all */
export function takeLock(file: string, waitMilliseconds = 0): ExclusiveLock | null {
  const database = new DatabaseSync(file, { timeout: waitMilliseconds });
  try {
    // Nothing is ever written, so no journal is needed, and the lock also works on a full disk. SQLite's exclusive locking mode
    // does not fit: two processes that start together each keep the shared lock that the other waits for.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release: () => database.close() };
  } catch (cause) {
    database.close();
    if ((cause as { errcode?: number }).errcode === busy) return null;
    throw cause;
  }
}
