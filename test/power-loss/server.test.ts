/**
 * The power is cut at every moment of a publication, and everything unsynced is lost. The server then serves the whole old or the
 * whole new state, and the new one once the publisher was told so. Leaving out any fsync that this needs makes a test fail.
 */
import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { memoryStore } from '@countersign/protocol/node';
import {
  copyOf,
  end,
  makePublicationScene,
  offlineOf,
  onDemand,
  restart,
  startUnderFaults,
  tell,
  type PublicationScene,
  type Versions,
} from '../support/publication-scene.ts';
import type { ServerFolder } from '../support/publishing.ts';
import { cutEverywhere, sitesOf, type Cutting } from './cutting.ts';
import type { Call } from './disk-model.ts';

const posix = { skip: process.platform === 'win32' && 'paths and folder syncs are POSIX' };
const folder = mkdtempSync(join(tmpdir(), 'countersign-server-cut-'));
let scene: PublicationScene;
let start: ServerFolder;
let calls: Call[];
let states: { old: Versions; new: Versions };

before(async () => {
  if (posix.skip) return;
  scene = await makePublicationScene();
  start = copyOf(scene.folder, 'recorded');
  const server = await startUnderFaults(start, onDemand, { FAULT_MODE: 'record' });
  const old = await scene.seen(server, memoryStore());
  await tell(server, 'arm');
  assert.equal((await scene.publishNext(server)).status, 200);
  calls = await tell<Call[]>(server, 'take');
  states = { old, new: await scene.seen(server, memoryStore()) };
  await end(server);
  renameSync(start.directory, `${start.directory}-over`);
  start = copyOf(scene.folder, 'recorded');
});
after(async () => {
  await scene.remove();
  rmSync(folder, { recursive: true });
});

/** The fault found in a state, by its content: many moments leave the same state. */
const known = new Map<string, Promise<string | null>>();
const check: Cutting['check'] = async (directory, over, note) => {
  const names = globSync('**', { cwd: directory, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .filter((name) => !name.startsWith(join('staging', 'blobs')) && !name.endsWith('.db'))
    .sort();
  const key = `${over} ${names.map((name) => `${name} ${sha256(readFileSync(join(directory, name)))}`).join()}`;
  if (!known.has(key)) known.set(key, judge(directory, over));
  const fault = await known.get(key)!;
  if (fault !== null) note(fault);
};

/** Starts the server on what is left and judges it as a device does. */
async function judge(directory: string, over: boolean): Promise<string | null> {
  try {
    const server = await restart({ ...start, directory });
    try {
      const state = await scene.seen(server, memoryStore());
      const expected = over || state.timestamp !== states.old.timestamp ? states.new : states.old;
      assert.deepEqual(offlineOf(state), offlineOf(expected));
      return null;
    } finally {
      await server.close();
    }
  } catch (error) {
    return String(error);
  }
}

/** A later fsync of the folder repeats what these sync, or a loss costs the publisher at most another upload. */
const costLittle = [
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < directory.ts putIfAbsent',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < staging.ts write',
  'folder: durable-file.ts syncFolder < staging.ts makeWhole',
];

test('with everything unsynced lost at any moment, it serves the old or the new state whole', posix, async () => {
  assert.deepEqual(await cutEverywhere({ start: start.directory, calls, folder, check }), []);
});

test('each fsync of a publication is missed when it is left out', posix, async () => {
  const sites = sitesOf([{ start: start.directory, calls }], folder);
  assert.deepEqual(
    costLittle.filter((site) => !sites.includes(site)),
    [],
  );
  const needed = sites.filter((site) => !costLittle.includes(site));
  assert.equal(needed.length, 8, needed.join('\n'));
  const unnoticed: string[] = [];
  for (const without of needed) {
    const faults = await cutEverywhere({ start: start.directory, calls, folder, check, without, stop: 'at first' });
    if (faults.length === 0) unnoticed.push(without);
  }
  assert.deepEqual(unnoticed, []);
});
