/** Cuts the power at every moment of a recorded operation and checks what a disk without unsynced writes would hold. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ForgetfulDisk, type Call, type Loss } from './disk-model.ts';

type Fsync = Extract<Call, { op: 'fsync' }>;

export interface Cutting {
  /** The folder before the operation, and what the operation did to it. */
  readonly start: string;
  readonly calls: readonly Call[];
  /** An existing folder for the copies. */
  readonly folder: string;
  /** Name of an fsync that is left out. */
  readonly without?: string | undefined;
  readonly stop?: 'at first' | undefined;
  /** What may be lost. */
  readonly losses?: readonly Loss[];
  /** Looks at the files that are left before they are written anywhere; true where `check` shall look too. */
  glance?(files: ReadonlyMap<string, Buffer>, over: boolean, note: (fault: string) => void): boolean;
  /** Checks what is left; `over` when the operation had ended. */
  check(directory: string, over: boolean, note: (fault: string) => void): Promise<void>;
}

/** The faults that were found. */
export async function cutEverywhere(cutting: Cutting): Promise<string[]> {
  const { start, calls, folder, without, stop, losses = ['everything', 'contents'], glance, check } = cutting;
  const faults: string[] = [];
  const scratch = join(folder, crypto.randomUUID());
  mkdirSync(scratch);
  const disk = new ForgetfulDisk(start, join(scratch, 'shadow.db'));
  let looked = -1;
  let over = false;
  // Up to the first fsync that is left out nothing differs from a cut with it.
  let differs = without === undefined;
  const looks = new Set<Promise<void>>();
  const look = async (where: string, loss: Loss): Promise<void> => {
    const note = (what: string): void => void faults.push(`${where}, ${loss} lost: ${what}`);
    if (glance?.(disk.filesLeft(loss), over, note) === false) return;
    const directory = join(scratch, crypto.randomUUID());
    disk.writeTo(directory, loss);
    await check(directory, over, note);
    rmSync(directory, { recursive: true });
  };
  for (const [index, call] of [...calls, { op: 'mark', name: 'end' } as const].entries()) {
    if (call.op === 'mark') over = true;
    if (differs && (disk.version !== looked || call.op === 'mark'))
      for (const loss of losses) {
        if (stop === 'at first' && faults.length > 0) break;
        const running = look(`before call ${index + 1} of ${calls.length} (${call.op})`, loss);
        looks.add(running);
        void running.finally(() => looks.delete(running));
        // A check mostly waits for the disk.
        if (looks.size >= 4) await Promise.race(looks);
      }
    looked = disk.version;
    if (call.op === 'fsync' && siteOf(call, disk.isFolder(call)) === without) differs = true;
    else disk.apply(call);
  }
  await Promise.all(looks);
  disk.close();
  rmSync(scratch, { recursive: true });
  return faults;
}

/** The product's fsync behind a call: what is synced, by which function, for which caller. */
function siteOf({ site }: Fsync, isFolder: boolean): string {
  const shared = /^(durable-file|tree-writer)\.ts /;
  const end = site.findIndex((frame) => !shared.test(frame));
  const frames = site.slice(0, end === -1 ? site.length : end + 1);
  return `${isFolder ? 'folder' : 'file'}: ${frames.join(' < ')}`;
}

/** Every fsync that recorded operations reach, sorted. */
export function sitesOf(recordings: Iterable<Pick<Cutting, 'start' | 'calls'>>, folder: string): string[] {
  const found = new Set<string>();
  for (const { start, calls } of recordings) {
    const disk = new ForgetfulDisk(start, join(folder, `shadow-${crypto.randomUUID()}.db`));
    for (const call of calls) {
      if (call.op === 'fsync') found.add(siteOf(call, disk.isFolder(call)));
      disk.apply(call);
    }
    disk.close();
  }
  return [...found].sort();
}
