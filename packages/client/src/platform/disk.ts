/** Tells how much space is left on the disk that holds a folder. */
import { statfs } from 'node:fs/promises';

/** Bytes that this account may still write to the disk of `folder`. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
