/**
 * One process for one folder: an exclusive SQLite transaction on `lock.db`, which the system gives back when the process dies.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { serverError } from './errors.ts';

/** Holds the folder until `release`. @throws SERVER_ALREADY_RUNNING */
export function lockInstance(directory: string): { release(): void } {
  const database = new DatabaseSync(join(directory, 'lock.db'), { timeout: 200 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw serverError('SERVER_ALREADY_RUNNING', `another process serves ${directory}`, { cause });
  }
  return { release: () => database.close() };
}
