/**
 * Removes what no kept generation uses. Kept are the running generation, the one before it, and the one that an unfinished change
 * is about. Rows are removed first, then folders, so that no row names a half-removed folder. A locked folder stays until the
 * next time.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { transact } from '../device/database.ts';
import { requireLock, storeFolder, type Device } from '../device/device.ts';
import { removeTree } from '../platform/removal.ts';
import { collectGenerations, currentRow, usedArchives } from './generations.ts';
import { openJob, trimJournal } from './journal.ts';
import { dropArchives, storeDirectories } from './store.ts';

/** The caller holds the lock. Returns the store folders that are still there because something holds them open. */
export function collectGarbage(device: Device): string[] {
  requireLock(device);
  transact(device.database, () => {
    collectGenerations(device, keptGenerations(device));
    dropArchives(device, usedArchives(device));
    trimJournal(device);
  });
  const owned = storeDirectories(device);
  const locked = readdirSync(storeFolder(device)).filter(
    (name) => !owned.has(name) && !removeTree(join(storeFolder(device), name)),
  );
  if (locked.length > 0) device.log({ level: 'warn', event: 'locked-folders', folders: locked });
  return locked;
}

function keptGenerations(device: Device): number[] {
  const current = currentRow(device);
  const job = openJob(device);
  const numbers = [current?.generation, current?.previous, job?.generation, job?.detail.from?.generation];
  return [...numbers, job?.detail.from?.previous].filter((number) => number !== undefined && number !== null);
}
