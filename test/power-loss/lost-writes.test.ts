/**
 * Power is lost at every moment of every operation, and whatever was not synced is gone: a kill alone never finds a missing
 * fsync, because the system keeps what a dead process wrote. The table below lists each fsync of the product with an operation
 * that breaks without it; `POWER_LOSS_WITHOUT="<its name>"` leaves it out of the main tests, which then fail.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cutEverywhere, sitesOf, type Cutting } from './cutting.ts';
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

/** Every fsync that an operation of the device reaches: which function calls it, and an operation that breaks without it. */
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

/** Cuts the power at every moment of a scenario; returns the faults found. */
function cut(name: string, without: string | undefined, stop?: 'at first'): Promise<string[]> {
  const { start, calls, states, grants, dataFolders } = recordings.get(name)!;
  const scenario = scenarios.find((other) => other.name === name)!;
  const check: Cutting['check'] = async (directory, over, note) => {
    checkGrants(directory, over ? grants : undefined, note);
    if (over) {
      for (const data of dataFolders) if (!existsSync(join(directory, 'data', data))) note(`no data folder of ${data}`);
      scenario.holds?.(directory).forEach(note);
    }
    const recovered = await restart(directory, 'died');
    recovered.faults.forEach(note);
    if (!states.includes(recovered.state)) note(`came back as ${recovered.state}`);
    if (over && recovered.state !== states.at(-1)) note('what was reported as done is gone');
  };
  return cutEverywhere({ start, calls, folder, without, stop, check });
}

/**
 * Checks what a component would read before the device program starts again: always whole, and correct once the operation is over.
 */
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
    assert.deepEqual(await cut(name, process.env.POWER_LOSS_WITHOUT), []);
  });

test('the table names every fsync that the operations reach', posix, () => {
  assert.deepEqual(sitesOf(recordings.values(), folder), Object.keys(sites).sort());
});

for (const [site, name] of Object.entries(sites))
  test(`without the fsync of ${site}, ${name} loses something`, posix, async () => {
    assert.notDeepEqual(await cut(name, site, 'at first'), []);
  });
