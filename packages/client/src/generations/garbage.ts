/**
 * Takes away what no kept generation uses: the running one, the one before it and one that a change under way is about. Rows
 * go first, then folders, so that a folder half removed belongs to nobody. What is locked stays for the next time.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { transact } from '../device/database.ts';
import { requireLock, storeFolder, type Device } from '../device/device.ts';
import { removeTree } from '../platform/removal.ts';
import { currentRow } from './generations.ts';
import { openJob, trimJournal } from './journal.ts';

/** The caller holds the lock. Returns the store folders that are still there because something holds them open. */
export function collectGarbage(device: Device): string[] {
  requireLock(device);
  const { database } = device;
  transact(database, () => {
    const kept = JSON.stringify(keptGenerations(device));
    database
      .prepare('DELETE FROM generation_archive WHERE generation NOT IN (SELECT value FROM json_each(?))')
      .run(kept);
    database
      .prepare(
        "UPDATE generation SET state = 'collected' WHERE state = 'previous' AND number NOT IN (SELECT value FROM json_each(?))",
      )
      .run(kept);
    database.prepare('DELETE FROM archive WHERE sha256 NOT IN (SELECT sha256 FROM generation_archive)').run();
    trimJournal(device);
  });
  const owned = new Set(
    (database.prepare('SELECT directory FROM archive').all() as { directory: string }[]).map(
      ({ directory }) => directory,
    ),
  );
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
