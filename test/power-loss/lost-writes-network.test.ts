/**
 * Power is lost at every moment of a poll, a download and an installation over the network, and whatever was not synced is gone. The
 * device trusts no less than before, comes back by itself, ends where an undisturbed one does, and keeps what it reported as done.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { withLock } from '../../packages/client/src/device/device.ts';
import { installApproved } from '../../packages/client/src/installing/install-flow.ts';
import { poll } from '../../packages/client/src/service/polling.ts';
import { closeConnections } from '../../packages/client/src/trust/refresh.ts';
import { cutEverywhere, sitesOf, type Cutting } from './cutting.ts';
import type { Call } from './disk-model.ts';
import { describeTrust, downloadedFiles, makeScene, type NetworkScene } from './network.ts';
import { recordCalls, stateOf } from './recording.ts';
import { open, restart } from './scenarios.ts';

const posix = { skip: process.platform === 'win32' && 'hooks are POSIX scripts here' };
const folder = mkdtempSync(join(tmpdir(), 'countersign-lost-line-'));
const endings: (() => unknown)[] = [];
const recordings = new Map<Name, { start: string; whole: string; calls: Call[] }>();
let scene: NetworkScene;

type Name = 'refresh' | 'download' | 'download and install';
const names: readonly Name[] = ['refresh', 'download', 'download and install'];

before(async () => {
  if (posix.skip) return;
  scene = await makeScene({ after: (end) => void endings.push(end as () => unknown) });
  for (const name of names) {
    const start = name === 'refresh' ? scene.polled : scene.approved;
    recordings.set(name, {
      start,
      ...(await recordCalls(name, start, join(folder, `${name.replaceAll(' ', '-')}-whole`))),
    });
  }
});
after(async () => {
  for (const end of endings) await end();
  rmSync(folder, { recursive: true, force: true });
});

interface Trust {
  floors: { role: string; version: number }[];
}
const trustOf = (directory: string): Trust => JSON.parse(describeTrust(directory)) as Trust;

/** Checks what a power cut left against what the operation promises. */
const promises: Record<Name, (before: string, after: string) => Cutting['check']> = {
  refresh: (before, after) => {
    const [known, complete] = [trustOf(before), trustOf(after)];
    return async (directory, over, note) => {
      const left = trustOf(directory);
      for (const { role, version } of known.floors)
        if ((left.floors.find((one) => one.role === role)?.version ?? 0) < version) note(`the floor of ${role} sank`);
      if (over) same(left, complete, 'what was reported as trusted is gone', note);
      (await restart(directory, 'died')).faults.forEach(note);
      const device = open(directory);
      await withLock(device, () => poll(device)).catch((error: unknown) => note(`the next poll: ${String(error)}`));
      await closeConnections(device);
      device.database.close();
      same(trustOf(directory), complete, 'the next poll ends elsewhere', note);
    };
  },
  download: (before, after) => {
    const files = downloadedFiles(after);
    assert.ok(Object.keys(files).length > 0);
    return async (directory, over, note) => {
      if (over) same(downloadedFiles(directory), files, 'a file that was reported as there is not', note);
      const { state, faults } = await restart(directory, 'died');
      faults.forEach(note);
      if (state !== stateOf(before)) note(`came back as ${state}`);
      await installs(directory, note);
    };
  },
  'download and install': (before, after) => {
    const states = [stateOf(before), stateOf(after)];
    return async (directory, over, note) => {
      const { state, faults } = await restart(directory, 'died');
      faults.forEach(note);
      if (!states.includes(state)) note(`came back as ${state}`);
      if (over && state !== states[1]) note('what was reported as done is gone');
      if (state !== states[0]) return;
      await installs(directory, note);
      if (stateOf(directory) !== states[1]) note('the next try ends elsewhere');
    };
  },
};

function same(left: unknown, right: unknown, what: string, note: (fault: string) => void): void {
  try {
    assert.deepEqual(left, right);
  } catch (error) {
    note(`${what}: ${(error as Error).message}`);
  }
}

async function installs(directory: string, note: (fault: string) => void): Promise<void> {
  const device = open(directory);
  await withLock(device, () => installApproved(device)).then(
    ({ outcome }) => outcome === 'committed' || note(`the next try: ${outcome}`),
    (error: unknown) => note(`the next try: ${String(error)}`),
  );
  await closeConnections(device);
  device.database.close();
}

function cut(name: Name, without: string | undefined, stop?: 'at first'): Promise<string[]> {
  const { start, whole, calls } = recordings.get(name)!;
  return cutEverywhere({ start, calls, folder, without, stop, check: promises[name](start, whole) });
}

/** Every fsync that these operations reach and the local ones do not, with an operation that breaks without it. */
const sites: Record<string, Name> = {
  'file: durable-file.ts writeDurable < metadata-store.ts write': 'refresh',
  'file: durable-file.ts writeDurable < metadata-store.ts writeRoot': 'refresh',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < metadata-store.ts write': 'refresh',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < metadata-store.ts writeRoot': 'refresh',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < downloads.ts fetchArchives': 'download',
  'file: partial-file.ts complete': 'download',
  'folder: durable-file.ts syncFolder < partial-file.ts complete': 'download',
};

for (const name of names)
  test(`${name}: with everything unsynced lost at any moment, the device comes back by itself`, posix, async (t) => {
    t.diagnostic(`${recordings.get(name)!.calls.length} calls`);
    assert.deepEqual(await cut(name, process.env.POWER_LOSS_WITHOUT), []);
  });

test('the table names every fsync that a poll and a download reach', posix, () => {
  const reached = sitesOf([recordings.get('refresh')!, recordings.get('download')!], folder);
  assert.deepEqual(reached, Object.keys(sites).sort());
});

for (const [site, name] of Object.entries(sites))
  test(`without the fsync of ${site}, ${name} loses something`, posix, async () => {
    assert.notDeepEqual(await cut(name, site, 'at first'), []);
  });
