/**
 * Killed by SIGKILL right before each of its changing calls, one after the other, every operation leaves a device that comes
 * back by itself: as it was before, or as it would have been after. Hooks are POSIX scripts here.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeDevice, runOperation, stateOf } from './recording.ts';
import { arrangeDevice, inThreads, makeKits, operations, restart, type Kits } from './scenarios.ts';

const posix = { skip: process.platform === 'win32' && 'SIGKILL and scripts are POSIX' };
const folder = mkdtempSync(join(tmpdir(), 'countersign-kill-'));
let kits: Kits;

before(async () => {
  mkdirSync(join(folder, 'kits'));
  kits = await makeKits(join(folder, 'kits'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `name` from `start` and kills it at each call, or at one in `every`; each device must come back to one of `states`. */
async function killEverywhere(
  name: string,
  start: string,
  states: readonly string[],
  calls: number,
  every = 1,
): Promise<void> {
  let next = 1;
  const take = (): number => (next += every) - every;
  const work = async (): Promise<void> => {
    for (let at = take(); at <= calls; at = take()) {
      const directory = `${start}-at-${at}`;
      cpSync(start, directory, { recursive: true });
      const { signal } = await runOperation(name, directory, { FAULT_MODE: 'kill', FAULT_KILL_AT: String(at) });
      assert.equal(signal, 'SIGKILL', `killed at call ${at} of ${calls}`);
      const { state, faults } = await restart(directory, 'live');
      assert.deepEqual([...faults], [], `after being killed at call ${at} of ${calls}`);
      assert.ok(states.includes(state), `after being killed at call ${at} of ${calls}: ${state}`);
      rmSync(directory, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
}

for (const scenario of operations)
  test(`${scenario.name}: killed at any call, the device comes back by itself`, posix, async (t) => {
    const start = join(folder, scenario.name.replaceAll(' ', '-'));
    await arrangeDevice(start, makeDevice, scenario, kits);
    const whole = `${start}-whole`;
    cpSync(start, whole, { recursive: true });
    const { code, output } = await runOperation(scenario.name, whole, { FAULT_MODE: 'count' });
    assert.equal(code, 0);
    const calls = Number(output);
    assert.ok(calls > 2, `${calls} calls`);
    t.diagnostic(`${calls} calls`);
    await killEverywhere(scenario.name, start, [stateOf(start), stateOf(whole)], calls);
  });

test('install by threads: killed in the middle of their work, the device comes back by itself', posix, async (t) => {
  const start = join(folder, 'threads');
  await arrangeDevice(start, makeDevice, inThreads, kits);
  const whole = `${start}-whole`;
  cpSync(start, whole, { recursive: true });
  const { code, output } = await runOperation(inThreads.name, whole, { FAULT_MODE: 'count' });
  assert.equal(code, 0);
  const calls = Number(output);
  assert.ok(calls > 400, `${calls} calls`);
  t.diagnostic(`${calls} calls`);
  // The calls outside the threads are those of the first install, which is tested at every call.
  await killEverywhere(inThreads.name, start, [stateOf(start), stateOf(whole)], calls - 50, 23);
});

/** Where the first kill happens, before a second one: before the first SQL call with this parameter. */
const halfway = [
  { name: 'update with a new capability', parameter: 'probation', where: 'with the new components started' },
  { name: 'update that fails and goes back', parameter: 'restarting', where: 'on its way back' },
] as const;

for (const { name, parameter, where } of halfway)
  test(`recovery ${where}: killed at any call itself, the device comes back by itself`, posix, async (t) => {
    const scenario = operations.find((other) => other.name === name)!;
    const start = join(folder, `recovery-${parameter}`);
    await arrangeDevice(start, makeDevice, scenario, kits);
    const before = stateOf(start);
    const { signal } = await runOperation(name, start, { FAULT_MODE: 'kill', FAULT_KILL_WITH: parameter });
    assert.equal(signal, 'SIGKILL');
    const whole = `${start}-whole`;
    cpSync(start, whole, { recursive: true });
    const { code, output } = await runOperation('recover', whole, { FAULT_MODE: 'count' });
    assert.equal(code, 0);
    const calls = Number(output);
    assert.ok(calls > 2, `${calls} calls`);
    t.diagnostic(`${calls} calls`);
    await killEverywhere('recover', start, [before, stateOf(whole)], calls);
  });
