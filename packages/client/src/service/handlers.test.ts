/** The answer to a command when the service has meanwhile carried out what it asks for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptPolicy, kitFolder, makeKit, prepare, type Kit } from '../../../../test/support/release-kit.ts';
import { scratchDevice } from '../../../../test/support/scratch-device.ts';
import { withLock } from '../device/device.ts';
import { listQuarantined } from '../generations/install-history.ts';
import { setPlanState } from '../generations/plans.ts';
import { install } from '../installing/installer.ts';
import { rollback } from '../installing/rollback.ts';
import { handlersOf } from './handlers.ts';

const posix = { skip: process.platform === 'win32' };

function setUp() {
  const device = scratchDevice();
  acceptPolicy(device);
  const put = async (...kits: Kit[]): Promise<string> => {
    const request = prepare(
      device,
      kits.map((kit) => ({ kit })),
    );
    await withLock(device, () => install(device, request));
    return request.decided.digest;
  };
  const answer = (plan: string) => withLock(device, () => handlersOf(device).install({ plan }));
  return { device, put, answer };
}

test('each plan is answered with its own outcome, whatever became of others', posix, async () => {
  const { device, put, answer } = setUp();
  const folder = kitFolder();
  const make = (component: string, version: string, scripts = {}) => makeKit(folder, { component, version, scripts });
  const first = await put(await make('tool', '1.0.0', { stop: 'exit 3\n' }), await make('app', '1.0.0'));
  const sick = await put(await make('app', '2.0.0', { health: 'exit 1\n', start: 'exit 4\n' }));
  // The old release cannot be stopped: nothing new ran, so nothing new is to blame.
  const stuck = await put(await make('tool', '2.0.0'));
  assert.deepEqual(await answer(first), { outcome: 'committed', generation: 1, plan: first, running: 1 });
  const failed = { outcome: 'rolled-back', generation: 1, code: 'HOOK_FAILED', running: 1 };
  assert.deepEqual(await answer(sick), { ...failed, component: 'app', plan: sick });
  assert.deepEqual(await answer(stuck), { ...failed, component: 'tool', plan: stuck });
  assert.deepEqual(
    listQuarantined(device).map(({ component }) => component),
    ['app'],
  );
});

test('a plan that was carried out a while ago is told beside what runs now', posix, async () => {
  const { put, answer } = setUp();
  const folder = kitFolder();
  const first = await put(await makeKit(folder, { component: 'app', version: '1.0.0' }));
  await put(await makeKit(folder, { component: 'app', version: '2.0.0' }));
  assert.deepEqual(await answer(first), { outcome: 'committed', generation: 1, plan: first, running: 2 });
});

test('a plan that a person went back from is answered so, and blames no component', posix, async () => {
  const { device, put, answer } = setUp();
  const folder = kitFolder();
  await put(await makeKit(folder, { component: 'app', version: '1.0.0' }));
  const second = await put(await makeKit(folder, { component: 'app', version: '2.0.0' }));
  assert.deepEqual(await answer(second), { outcome: 'committed', generation: 2, plan: second, running: 2 });
  await withLock(device, () => rollback(device, { check: () => undefined }));
  const back = { outcome: 'rolled-back', generation: 3, code: 'ROLLBACK', component: '', plan: second, running: 3 };
  assert.deepEqual(await answer(second), back);
});

test('a plan that was never carried out has no outcome', posix, async () => {
  const { device, answer } = setUp();
  const { decided } = prepare(device, [{ kit: await makeKit(kitFolder(), { component: 'app', version: '1.0.0' }) }]);
  setPlanState(device, decided.digest, 'void');
  await assert.rejects(answer(decided.digest), { code: 'NOTHING_TO_DO' });
});
