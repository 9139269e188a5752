/** The folder where archives arrive: `<sha256>` is complete, `<sha256>.part` is not. No file is trusted because it is there. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder, removeDurable } from '@countersign/protocol/node';
import { stagingFolder, type Device } from '../device/device.ts';

export const downloadsFolder = (device: Pick<Device, 'directory'>): string => join(stagingFolder(device), 'downloads');

/** Removes downloads that are not wanted any more, and parts of them: nothing of a refused capability stays. */
export function pruneDownloads(device: Device, keep: ReadonlySet<string> = new Set()): void {
  const folder = downloadsFolder(device);
  makeFolder(folder);
  for (const name of readdirSync(folder)) if (!keep.has(name.replace(/\.part$/, ''))) removeDurable(join(folder, name));
}
