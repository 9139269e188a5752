/** Row 1: rollback, freeze, mix-and-match, fast-forward, endless data, slow drip. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { attackScene } from '../support/attack-scene.ts';
import { drip, pour, type Endless } from '../support/endless.ts';
import { ed25519Key } from '../support/signing-keys.ts';

test('an older timestamp is refused', async (t) => {
  const scene = await attackScene(t);
  const honest = scene.save();
  const old = new Map(scene.repository.files);
  scene.repository.setTime('2026-11-23T11:00:00Z').renew('timestamp').publish();
  const renewed = scene.save();
  await scene.check();
  scene.repository.files.set('metadata/timestamp.json', old.get('metadata/timestamp.json')!);
  await scene.refused('TUF_ROLLBACK');
  renewed();
  await scene.check();
  honest();
  await scene.refused('TUF_ROLLBACK');
});

test('an older snapshot or role under a new timestamp is refused', async (t) => {
  for (const [role, bend] of [
    ['timestamp', 'snapshot.json'],
    ['snapshot', 'channels.json'],
  ] as const) {
    const scene = await attackScene(t);
    const { repository } = scene;
    const honest = scene.save();
    repository.bends.set(role, (signed) => {
      const meta = signed.meta as Record<string, { version: number; length: number; hashes: object }>;
      meta[bend] = { ...meta[bend]!, version: 1 };
    });
    repository.renew('snapshot').publish();
    await scene.refused('TUF_ROLLBACK');
    honest();
    repository.bends.clear();
    repository.versions.set('timestamp', 10).set('snapshot', 10);
    repository.renew('snapshot').publish();
    await scene.check();
  }
});

test('a frozen repository is refused when its time is over', async (t) => {
  const scene = await attackScene(t);
  scene.device.setTime('2026-11-24T10:00:00Z');
  await scene.refused('TUF_EXPIRED');
  scene.repository.setTime('2026-11-24T10:00:00Z').renew('timestamp').publish();
  await scene.check();
});

test('setting the clock back brings nothing frozen back to life', async (t) => {
  const scene = await attackScene(t);
  const frozen = scene.save();
  scene.repository.setTime('2026-11-25T10:00:00Z').renew('timestamp').publish();
  scene.device.setTime('2026-11-25T11:00:00Z');
  await scene.check();
  frozen();
  scene.device.setTime('2026-11-23T12:00:00Z');
  await assert.rejects(scene.check(), { code: 'TUF_ROLLBACK' });
});

test('files of different publications do not mix', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  const old = new Map(repository.files);
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.2.0' }));
  repository.publish();
  const honest = scene.save();
  repository.files.set('metadata/3.snapshot.json', old.get('metadata/2.snapshot.json')!);
  await scene.refused('TUF_HASH');
  honest();
  repository.files.set('metadata/3.channels.json', old.get('metadata/2.channels.json')!);
  await scene.refused('TUF_HASH');
  honest();
  await scene.check();
  assert.equal(scene.offered('diagnostics'), '1.2.0');
});

test('a repository that was pushed forward is recovered by a new root and by nothing else', async (t) => {
  const scene = await attackScene(t);
  const { repository } = scene;
  repository.versions.set('timestamp', 2 ** 31).set('snapshot', 2 ** 31);
  repository.renew('snapshot').renew('timestamp').publish();
  await scene.check();
  repository.versions.set('timestamp', 10).set('snapshot', 10);
  repository.renew('snapshot').renew('timestamp').publish();
  await scene.refused('TUF_ROLLBACK');
  repository.rotateRoot(() => {
    repository.keys.set('timestamp', [ed25519Key()]).set('snapshot', [ed25519Key()]);
  });
  repository.renew('snapshot').renew('timestamp').publish();
  await scene.check();
});

test('endless data is cut off and its socket closed', async (t) => {
  for (const [path, code] of [
    ['/metadata/timestamp.json', 'SOURCE_TOO_LARGE'],
    ['/metadata/2.root.json', 'SOURCE_TOO_LARGE'],
    ['/targets/channels/', 'TRUST_DOCUMENT'],
  ] as const) {
    const scene = await attackScene(t);
    scene.repository.channel.blocked = [{ component: 'diagnostics', version: '0.9.0', reason: 'old' }];
    scene.repository.publish();
    const closed = Promise.withResolvers<void>();
    let endless: Endless | undefined;
    scene.server.intercept = (request, response) => {
      if (!request.url!.startsWith(path)) return false;
      response.writeHead(200).on('close', closed.resolve);
      endless = pour(response, Buffer.alloc(64 * 1024, ' '));
      return true;
    };
    await scene.refused(code);
    await closed.promise;
    endless!.checkCutOff();
    scene.server.intercept = () => false;
    await scene.check();
  }
});

test('a slow drip and a silent server end in time, and the socket is closed', async (t) => {
  for (const answer of [(response: ServerResponse) => drip(response.writeHead(200), ' ', 20), () => undefined]) {
    const scene = await attackScene(t, { settings: { httpLimits: { idleMilliseconds: 300, totalMilliseconds: 500 } } });
    const closed = Promise.withResolvers<void>();
    scene.server.intercept = (request, response) => {
      if (request.url !== '/metadata/timestamp.json') return false;
      response.on('close', closed.resolve);
      answer(response);
      return true;
    };
    await scene.refused('SOURCE_TIMEOUT');
    await closed.promise;
    scene.server.intercept = () => false;
    await scene.check();
  }
});
