/** Lets only one process use a folder; the system releases the lock when the process dies. */
import { join } from 'node:path';
import { takeLock, type ExclusiveLock } from '@countersign/protocol/node';
import { serverError } from './errors.ts';

/** Holds the folder until `release`. @throws SERVER_ALREADY_RUNNING */
export function lockInstance(directory: string): ExclusiveLock {
  const lock = takeLock(join(directory, 'lock.db'), 200);
  if (!lock) throw serverError('SERVER_ALREADY_RUNNING', `another process serves ${directory}`);
  return lock;
}
