/**
 * Kills the server's own program by SIGKILL right before each of its changing calls. Devices see the whole old or the whole new
 * repository, and a publisher who repeats the publication ends like an undisturbed one. No call is left out.
 */
import assert from 'node:assert/strict';
import { globSync, rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { memoryStore } from '@countersign/protocol/node';
import {
  copyOf,
  end,
  fromTheStart,
  makePublicationScene,
  offlineOf,
  onDemand,
  restart,
  startUnderFaults,
  tell,
  type PublicationScene,
} from '../support/publication-scene.ts';
import { makeServerFolder } from '../support/publishing.ts';

const posix = { skip: process.platform === 'win32' && 'SIGKILL is POSIX' };
const kill = (at: number) => ({ FAULT_MODE: 'kill', FAULT_KILL_AT: String(at) });
let scene: PublicationScene;

before(async () => {
  scene = await makePublicationScene();
});
after(() => scene.remove());

/** Does `work` for 1 to `calls`, two at a time. */
async function forEach(calls: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 1;
  const worker = async (): Promise<void> => {
    for (let at = next++; at <= calls; at = next++) await work(at);
  };
  await Promise.all([worker(), worker()]);
}

test(
  'killed at any call of a publication, it serves the old or the new state, and the publication goes on',
  posix,
  async (t) => {
    const { folder: old, seen, publishNext } = scene;
    const whole = await startUnderFaults(copyOf(old, 'whole'), onDemand);
    const before = await seen(whole, memoryStore());
    await tell(whole, 'arm');
    const done = await publishNext(whole);
    assert.equal(done.status, 200, JSON.stringify(done.body));
    const calls = await tell<number>(whole, 'count');
    const complete = await seen(whole, memoryStore());
    await end(whole);
    assert.deepEqual([before.timestamp, complete.timestamp, complete.root], [1, 2, 2]);
    t.diagnostic(`${calls} calls`);
    const left = { old: 0, new: 0 };
    await forEach(calls, async (at) => {
      const where = `killed at call ${at} of ${calls}`;
      const folder = copyOf(old, `at-${at}`);
      const follower = memoryStore();
      const doomed = await startUnderFaults(folder, onDemand, kill(at));
      assert.deepEqual(await seen(doomed, follower), before);
      await tell(doomed, 'arm');
      const outcome = await publishNext(doomed).catch(() => null);
      if (outcome) await end(doomed);
      assert.equal((await doomed.ended).signal, 'SIGKILL', where);
      assert.equal(outcome, null, `${where}: ${JSON.stringify(outcome?.body)}`);
      const server = await restart(folder);
      for (const store of [follower, memoryStore()]) {
        const state = await seen(server, store);
        const which = state.timestamp === before.timestamp ? 'old' : 'new';
        assert.deepEqual(offlineOf(state), offlineOf(which === 'old' ? before : complete), where);
        left[which]++;
      }
      const again = await publishNext(server);
      assert.equal(again.status, 200, `${where}: ${JSON.stringify(again.body)}`);
      const state = await seen(server, follower);
      assert.deepEqual([offlineOf(state), state.root], [offlineOf(complete), complete.root], where);
      assert.deepEqual(globSync('**/*.tmp', { cwd: folder.directory }), [], where);
      await server.close();
      rmSync(folder.directory, { recursive: true });
    });
    assert.ok(left.old > 0 && left.new > 0, JSON.stringify(left));
  },
);

test('killed at any call of its first start, it starts the next time', posix, async (t) => {
  const folder = makeServerFolder(scene.repository);
  t.after(() => globSync(`${folder.directory}*`).forEach((directory) => rmSync(directory, { recursive: true })));
  const whole = await startUnderFaults(copyOf(folder, 'whole'), fromTheStart);
  const calls = await tell<number>(whole, 'count');
  await end(whole);
  assert.ok(calls > 5, `${calls} calls`);
  t.diagnostic(`${calls} calls`);
  await forEach(calls, async (at) => {
    const place = copyOf(folder, `at-${at}`);
    await assert.rejects(
      startUnderFaults(place, fromTheStart, kill(at)),
      /SIGKILL/,
      `killed at call ${at} of ${calls}`,
    );
    const server = await restart(place);
    assert.equal((await fetch(new URL('healthz', server.url))).status, 200);
    assert.deepEqual(globSync('**/*.tmp', { cwd: place.directory }), []);
    await server.close();
  });
});
