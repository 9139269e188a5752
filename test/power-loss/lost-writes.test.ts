/**
 * Power is lost at every moment of every operation, and whatever was not synced is gone: a kill alone never finds a missing
 * fsync, because the system keeps what a dead process wrote. Each fsync of the product stands in the table below with what is
 * lost without it; `POWER_LOSS_WITHOUT="<its name>"` takes it out of the main tests, which then fail.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ForgetfulDisk, type Call, type Loss } from './disk-model.ts';
import { recordScenario, type Recording } from './recording.ts';
import { makeKits, readGrantsFiles, restart, scenarios, type Kits } from './scenarios.ts';

const posix = { skip: process.platform === 'win32' && 'hooks are POSIX scripts here' };
const folder = mkdtempSync(join(tmpdir(), 'countersign-lost-'));
const recordings = new Map<string, Recording>();
let kits: Kits;

before(async () => {
  if (posix.skip) return;
  mkdirSync(join(folder, 'kits'));
  kits = await makeKits(join(folder, 'kits'));
  for (const scenario of scenarios) recordings.set(scenario.name, await recordScenario(folder, scenario, kits));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Every fsync that an operation of the device reaches: whose it is, and an operation that is broken without it. */
const sites: Record<string, string> = {
  'file: durable-file.ts writeDurable < grants.ts writeComponentGrants': 'update with a new capability',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < grants.ts writeComponentGrants': 'revoke',
  'folder: durable-file.ts syncFolder < durable-file.ts removeDurable < grants.ts writeGrants': 'removal',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < store.ts dataFolder': 'first install',
  'file: tree-writer.ts lane < tree-writer.ts flushAll < tree-writer.ts flush < unpack.ts unpackHere': 'first install',
  'folder: tree-writer.ts lane < tree-writer.ts flushAll < tree-writer.ts flush < unpack.ts unpackHere':
    'first install',
  'folder: durable-file.ts syncFolder < unpack.ts unpackArchive': 'unpacking by itself',
  'folder: durable-file.ts syncFolder < store.ts moveIntoStore': 'first install',
};

/** The product's fsync behind a call: what is synced, by which function, for whom. */
function siteOf({ site }: Extract<Call, { op: 'fsync' }>, isFolder: boolean): string {
  const shared = /^(durable-file|tree-writer)\.ts /;
  const end = site.findIndex((frame) => !shared.test(frame));
  const frames = site.slice(0, end === -1 ? site.length : end + 1);
  return `${isFolder ? 'folder' : 'file'}: ${frames.join(' < ')}`;
}

/** Cuts the power at every moment; the faults found, the first one only if `first`. */
async function cutEverywhere(
  name: string,
  without: string | undefined,
  stop: 'at all' | 'at first',
): Promise<string[]> {
  const { start, calls, states, grants, dataFolders } = recordings.get(name)!;
  const scenario = scenarios.find((other) => other.name === name)!;
  const faults: string[] = [];
  const disk = new ForgetfulDisk(start, join(folder, `shadow-${crypto.randomUUID()}.db`));
  let looked = -1;
  let done = false;
  const looks = new Set<Promise<void>>();
  const look = async (where: string, loss: Loss): Promise<void> => {
    const directory = join(folder, `cut-${crypto.randomUUID()}`);
    disk.writeTo(directory, loss);
    const over = done;
    const note = (what: string): void => void faults.push(`${where}, ${loss} lost: ${what}`);
    checkGrants(directory, over ? grants : undefined, note);
    if (done)
      for (const data of dataFolders) if (!existsSync(join(directory, 'data', data))) note(`no data folder of ${data}`);
    if (over) scenario.holds?.(directory).forEach(note);
    const recovered = await restart(directory, 'died');
    for (const fault of recovered.faults) note(fault);
    if (!states.includes(recovered.state)) note(`came back as ${recovered.state}`);
    if (over && recovered.state !== states.at(-1)) note('what was reported as done is gone');
    rmSync(directory, { recursive: true });
  };
  for (const [index, call] of [...calls, { op: 'mark', name: 'end' } as const].entries()) {
    if (call.op === 'mark') done = true;
    if (disk.version !== looked || call.op === 'mark')
      for (const loss of ['everything', 'contents'] as const) {
        if (stop === 'at first' && faults.length > 0) break;
        const running = look(`before call ${index + 1} of ${calls.length} (${call.op})`, loss);
        looks.add(running);
        void running.finally(() => looks.delete(running));
        // Most of a look is waiting for the disk.
        if (looks.size >= 4) await Promise.race(looks);
      }
    looked = disk.version;
    if (call.op === 'fsync' && siteOf(call, disk.isFolder(call)) === without) continue;
    disk.apply(call);
  }
  await Promise.all(looks);
  disk.close();
  return faults;
}

/** What a component would read before the device program starts again: always whole, and right once the operation is over. */
function checkGrants(directory: string, expected: Map<string, string> | undefined, note: (what: string) => void): void {
  const found = readGrantsFiles(directory);
  for (const [name, text] of found) {
    try {
      JSON.parse(text);
    } catch {
      note(`${name} is not whole: ${JSON.stringify(text.slice(0, 40))}`);
    }
  }
  if (!expected) return;
  const plain = (files: Map<string, string>): string =>
    JSON.stringify([...files].map(([name, text]) => [name, brief(text)]).sort());
  if (plain(found) !== plain(expected)) note(`grants are ${plain(found)}`);
}

function brief(text: string): unknown {
  try {
    const { version, grants } = JSON.parse(text) as { version: string; grants: { id: string }[] };
    return [version, grants.map(({ id }) => id)];
  } catch {
    return null;
  }
}

for (const { name } of scenarios)
  test(`${name}: with everything unsynced lost at any moment, the device comes back by itself`, posix, async () => {
    assert.deepEqual(await cutEverywhere(name, process.env.POWER_LOSS_WITHOUT, 'at all'), []);
  });

test('the table names every fsync that the operations reach', posix, () => {
  const found = new Set<string>();
  for (const { calls, start } of recordings.values()) {
    const disk = new ForgetfulDisk(start, join(folder, `shadow-${crypto.randomUUID()}.db`));
    for (const call of calls) {
      if (call.op === 'fsync') found.add(siteOf(call, disk.isFolder(call)));
      disk.apply(call);
    }
    disk.close();
  }
  assert.deepEqual([...found].sort(), Object.keys(sites).sort());
});

for (const [site, name] of Object.entries(sites))
  test(`without the fsync of ${site}, ${name} loses something`, posix, async () => {
    assert.notDeepEqual(await cutEverywhere(name, site, 'at first'), []);
  });
