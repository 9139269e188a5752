/**
 * Removes folders that a program may still have open: endpoint protection, an indexer, a component that has not ended. Invariant:
 * what can be removed is removed, and the rest stays for the next time. Never fails because of a locked file.
 *
 * Must never follow a link: a link is removed, not what it points to.
 */
import { chmodSync, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '@countersign/protocol';

/** Windows and network file systems give these codes while a file is open; POSIX gives some of them for folders in use. */
const locked = ['EBUSY', 'EPERM', 'EACCES', 'ENOTEMPTY', 'ETXTBSY', 'EMFILE'];

/** True when nothing is left under that name. @throws a system error that a lock does not explain */
export function removeTree(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return true;
  if (!status.isDirectory()) return attempt(path, () => unlinkSync(path));
  let empty = true;
  for (const name of readdirSync(path)) if (!removeTree(join(path, name))) empty = false;
  return empty && attempt(path, () => rmdirSync(path));
}

function attempt(path: string, remove: () => void): boolean {
  for (const tries of [1, 2]) {
    try {
      remove();
      return true;
    } catch (error) {
      const code = codeOf(error) ?? '';
      if (code === 'ENOENT') return true;
      if (!locked.includes(code)) throw error;
      // A read-only file cannot be unlinked on Windows until it is writable.
      if (tries === 1) writable(path);
    }
  }
  return false;
}

function writable(path: string): void {
  try {
    chmodSync(path, 0o700);
  } catch {
    // Then the file stays.
  }
}
