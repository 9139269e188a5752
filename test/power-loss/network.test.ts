/**
 * Killed by SIGKILL right before each changing call of a poll, of a download and of a whole installation over the network: the
 * device trusts no less than before, holds nothing incomplete, and the next try ends like an undisturbed one.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { withLock } from '../../packages/client/src/device/device.ts';
import { installApproved } from '../../packages/client/src/installing/install-flow.ts';
import { poll } from '../../packages/client/src/service/polling.ts';
import { closeConnections } from '../../packages/client/src/trust/refresh.ts';
import { describeTrust, makeScene, type NetworkScene } from './network.ts';
import { runOperation, stateOf } from './recording.ts';
import { open, restart } from './scenarios.ts';

const posix = { skip: process.platform === 'win32' && 'SIGKILL and scripts are POSIX' };
const folder = mkdtempSync(join(tmpdir(), 'countersign-cut-line-'));
const endings: (() => unknown)[] = [];
let scene: NetworkScene;

before(async () => {
  if (posix.skip) return;
  scene = await makeScene({ after: (end) => void endings.push(end as () => unknown) });
});
after(async () => {
  for (const end of endings) await end();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs the operation undisturbed on a copy; returns the copy and how many calls changed something. */
async function undisturbed(name: string, start: string): Promise<{ whole: string; calls: number }> {
  const whole = join(folder, `${name.replaceAll(' ', '-')}-whole`);
  cpSync(start, whole, { recursive: true });
  const { code, output } = await runOperation(name, whole, { FAULT_MODE: 'count' });
  assert.equal(code, 0);
  return { whole, calls: Number(output) };
}

/** Kills at each call; `check` judges what is left. */
async function killEverywhere(
  name: string,
  start: string,
  calls: number,
  check: (directory: string, where: string) => Promise<void>,
): Promise<void> {
  let next = 1;
  const work = async (): Promise<void> => {
    for (let at = next++; at <= calls; at = next++) {
      const directory = join(folder, `${name.replaceAll(' ', '-')}-at-${at}`);
      cpSync(start, directory, { recursive: true });
      const where = `killed at call ${at} of ${calls}`;
      const { signal } = await runOperation(name, directory, { FAULT_MODE: 'kill', FAULT_KILL_AT: String(at) });
      assert.equal(signal, 'SIGKILL', where);
      await check(directory, where);
      rmSync(directory, { recursive: true });
    }
  };
  await Promise.all([work(), work()]);
}

interface Floors {
  floors: { role: string; version: number }[];
}

test(
  'refresh: killed at any call, nothing that was trusted is lost and the next poll completes it',
  posix,
  async (t) => {
    const { whole, calls } = await undisturbed('refresh', scene.polled);
    t.diagnostic(`${calls} calls`);
    assert.ok(calls > 20, `${calls} calls`);
    const [before, complete] = [JSON.parse(describeTrust(scene.polled)) as Floors, describeTrust(whole)];
    await killEverywhere('refresh', scene.polled, calls, async (directory, where) => {
      const left = JSON.parse(describeTrust(directory)) as Floors;
      for (const { role, version } of before.floors)
        assert.ok(
          (left.floors.find((one) => one.role === role)?.version ?? 0) >= version,
          `${where}: floor of ${role}`,
        );
      assert.deepEqual([...(await restart(directory, 'live')).faults], [], where);
      const device = open(directory);
      await withLock(device, () => poll(device));
      await closeConnections(device);
      device.database.close();
      assert.deepEqual(JSON.parse(describeTrust(directory)), JSON.parse(complete), where);
    });
  },
);

for (const name of ['download', 'download and install'] as const)
  test(`${name}: killed at any call, the device comes back and the next try installs`, posix, async (t) => {
    const { whole, calls } = await undisturbed(name, scene.approved);
    t.diagnostic(`${calls} calls`);
    assert.ok(calls > 5, `${calls} calls`);
    const states = [stateOf(scene.approved), stateOf(whole)];
    await killEverywhere(name, scene.approved, calls, async (directory, where) => {
      const { state, faults } = await restart(directory, 'live');
      assert.deepEqual([...faults], [], where);
      assert.ok(states.includes(state), `${where}: ${state}`);
      const device = open(directory);
      if (state === states[0] || name === 'download') {
        const outcome = await withLock(device, () => installApproved(device));
        assert.equal(outcome.outcome, 'committed', where);
      }
      await closeConnections(device);
      device.database.close();
      if (name !== 'download') assert.equal(stateOf(directory), states[1], where);
    });
  });
