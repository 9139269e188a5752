import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PublishedRepository } from '../../../../test/support/published-repository.ts';
import { repositoryDevice } from '../../../../test/support/repository-device.ts';
import { ed25519Key } from '../../../../test/support/signing-keys.ts';
import { openAlerts } from '../device/alerts.ts';
import { verifyAudit } from '../device/audit.ts';
import { readSetting, writeSetting } from '../device/settings.ts';
import { closeConnections, lastDocuments, refreshTrust } from './refresh.ts';

const published = (): PublishedRepository => {
  const repository = new PublishedRepository();
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.0.0' }));
  return repository.publish();
};

test('a first poll brings every document, a second one asks twice and parses nothing', async (t) => {
  const { poll, server, device } = await repositoryDevice(t, published());
  const first = await poll();
  assert.equal(first.changed, true);
  assert.equal(first.channel.offers.length, 1);
  assert.equal(first.codesign.version, 1);
  server.requests.length = 0;
  const second = await poll();
  assert.deepEqual(server.requests.toSorted(), ['GET /metadata/2.root.json 404', 'GET /metadata/timestamp.json 304']);
  assert.equal(second.changed, false);
  assert.equal(second.channel, first.channel);
  assert.equal(second.session.state, first.session.state);
  assert.deepEqual(lastDocuments(device)?.channel, first.channel);
  verifyAudit(device);
});

test('a new publication costs what changed and nothing else', async (t) => {
  const repository = published();
  const { poll, server } = await repositoryDevice(t, repository);
  await poll();
  server.requests.length = 0;
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.1.0' }));
  repository.publish();
  const view = await poll();
  assert.equal(view.channel.offers.length, 2);
  assert.deepEqual(server.requests.map((line) => line.replace(/[0-9a-f]{64}/, 'DIGEST')).toSorted(), [
    'GET /metadata/2.channels.json 200',
    'GET /metadata/2.root.json 404',
    'GET /metadata/2.snapshot.json 200',
    'GET /metadata/timestamp.json 200',
    'GET /targets/channels/DIGEST.stable.json 200',
  ]);
});

test('polling needs the device lock', async (t) => {
  const { device } = await repositoryDevice(t, published());
  await assert.rejects(refreshTrust(device), { code: 'DEVICE_NOT_LOCKED' });
});

test('the next server is asked where the first fails, and then stays first', async (t) => {
  const { poll, server, device } = await repositoryDevice(t, published());
  writeSetting(device.database, 'servers', ['http://127.0.0.1:9/', server.url]);
  const view = await poll();
  assert.equal(view.server.url, server.url);
  device.events.length = 0;
  await poll();
  assert.deepEqual(device.events, []);
});

test('an unreachable server is no alert, a refusal is one, and a good poll clears it', async (t) => {
  const repository = published();
  const { poll, server, device } = await repositoryDevice(t, repository);
  server.intercept = (_, response) => Boolean(response.writeHead(503).end());
  await assert.rejects(poll(), { code: 'SOURCE_STATUS' });
  assert.deepEqual(openAlerts(device), []);
  server.intercept = (request, response) =>
    request.url === '/metadata/timestamp.json' && Boolean(response.writeHead(200).end('{}'));
  await assert.rejects(poll(), { code: 'TUF_FORMAT' });
  assert.deepEqual(
    openAlerts(device).map(({ code }) => code),
    ['TUF_FORMAT'],
  );
  server.intercept = () => false;
  await poll();
  assert.deepEqual(openAlerts(device), []);
});

test('metadata that was lost or torn is fetched anew, and nothing older gets in', async (t) => {
  const repository = published();
  const { poll, device } = await repositoryDevice(t, repository);
  const old = new Map(repository.files);
  await poll();
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.1.0' }));
  repository.publish();
  await poll();
  for (const damage of ['lost', 'torn']) {
    if (damage === 'lost') rmSync(join(device.directory, 'metadata'), { recursive: true });
    else
      for (const name of ['timestamp', 'snapshot'])
        writeFileSync(join(device.directory, 'metadata', `${name}.json`), '{"sig');
    await closeConnections(device);
    const present = new Map(repository.files);
    for (const [name, bytes] of old) repository.files.set(name, bytes);
    await assert.rejects(poll(), { code: 'TUF_ROLLBACK' });
    for (const [name, bytes] of present) repository.files.set(name, bytes);
    assert.equal((await poll()).channel.offers.length, 2);
  }
});

test('what was accepted before a document was refused still counts: nothing older gets in', async (t) => {
  const repository = published();
  const { poll, server } = await repositoryDevice(t, repository);
  const old = new Map(repository.files);
  await poll();
  repository.channel.offers = [];
  repository.publish();
  const present = new Map(repository.files);
  server.intercept = (request, response) =>
    request.url!.startsWith('/targets/channels/') && Boolean(response.writeHead(404).end());
  await assert.rejects(poll(), { code: 'TRUST_DOCUMENT' });
  server.intercept = () => false;
  for (const [name, bytes] of old) repository.files.set(name, bytes);
  await assert.rejects(poll(), { code: 'TUF_ROLLBACK' });
  for (const [name, bytes] of present) repository.files.set(name, bytes);
  assert.equal((await poll()).channel.offers.length, 0);
});

test('another package than the one of init is not believed', async (t) => {
  const { poll, device } = await repositoryDevice(t, published());
  writeFileSync(join(device.directory, 'package', 'root.json'), new PublishedRepository().shipped.root);
  await assert.rejects(poll(), { code: 'DEVICE_PACKAGE' });
  rmSync(join(device.directory, 'package', 'root.json'));
  await assert.rejects(poll(), { code: 'DEVICE_PACKAGE' });
});

test('a document that is not listed, too long, too short or another one is refused, and the old one stays', async (t) => {
  const repository = published();
  const { poll, server, device } = await repositoryDevice(t, repository);
  await poll();
  repository.channel.offers = [];
  repository.publish();
  const answers: Record<string, (bytes: Buffer) => Buffer | null> = {
    missing: () => null,
    longer: (bytes) => Buffer.concat([bytes, Buffer.from(' ')]),
    shorter: (bytes) => bytes.subarray(1),
    flipped: (bytes) => Buffer.from(bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte))),
  };
  for (const change of Object.values(answers)) {
    server.intercept = (request, response) => {
      if (!request.url!.startsWith('/targets/channels/')) return false;
      const bytes = change(repository.files.get(request.url!.slice(1))!);
      response.writeHead(bytes ? 200 : 404).end(bytes ?? '');
      return true;
    };
    await assert.rejects(poll(), { code: 'TRUST_DOCUMENT' });
    assert.equal(lastDocuments(device)!.channel.offers.length, 1);
  }
  server.intercept = () => false;
  writeSetting(device.database, 'channel', 'beta');
  await assert.rejects(poll(), { code: 'TRUST_DOCUMENT' });
  writeSetting(device.database, 'channel', 'stable');
  assert.equal((await poll()).channel.offers.length, 0);
});

test('a policy that takes the region’s host away ends the connection to it', async (t) => {
  const repository = published();
  const { poll } = await repositoryDevice(t, repository);
  await poll();
  repository.devices.regions = { global: { hosts: ['updates.example.com'] } };
  repository.extendChain('devices');
  repository.channel.offers = [];
  repository.publish();
  await assert.rejects(poll(), { code: 'TRUST_HOST' });
});

test('signed time is kept; a clock behind it is told and does not bring old metadata to life', async (t) => {
  const repository = published();
  const { poll, device } = await repositoryDevice(t, repository);
  await poll();
  assert.equal(readSetting(device.database, 'timeFloor'), '2026-11-23T10:00:00Z');
  device.setTime('2026-11-20T00:00:00Z');
  repository.setTime('2026-11-24T10:00:00Z').renew('timestamp').publish();
  await poll();
  const [alert] = openAlerts(device);
  assert.equal(alert?.code, 'CLOCK_BEHIND');
  assert.match(alert.message, /2026-11-20T00:00:00Z.*2026-11-24T10:00:00Z/);
  device.setTime('2026-11-24T12:00:00Z');
  await poll();
  assert.deepEqual(openAlerts(device), []);
});

test('a rotated timestamp key takes the time floor away', async (t) => {
  const repository = published();
  const { poll, device } = await repositoryDevice(t, repository);
  repository.setTime('2026-12-10T00:00:00Z').renew('timestamp').publish();
  await poll();
  assert.equal(readSetting(device.database, 'timeFloor'), '2026-12-10T00:00:00Z');
  repository.setTime('2026-11-23T11:00:00Z');
  repository
    .rotateRoot(() => repository.keys.set('timestamp', [ed25519Key()]))
    .renew('timestamp')
    .publish();
  // This poll began with the old floor; the root that it accepts removes the floor for the next poll.
  await assert.rejects(poll(), { code: 'TUF_EXPIRED' });
  await poll();
  assert.equal(readSetting(device.database, 'timeFloor'), '2026-11-23T11:00:00Z');
});

test('metadata that expired only because this clock is ahead is said to be so', async (t) => {
  const repository = published();
  const { poll, device, server } = await repositoryDevice(t, repository);
  await poll();
  const answerAt = (date: string): void => {
    server.intercept = (_, response) => Boolean(response.setHeader('date', new Date(date).toUTCString())) && false;
  };
  answerAt('2026-11-23T12:00:00Z');
  device.setTime('2026-11-26T12:00:00Z');
  await assert.rejects(poll(), (error: Error & { code: string }) => {
    assert.equal(error.code, 'CLOCK_AHEAD');
    assert.match(error.message, /2026-11-26T12:00:00Z.*2026-11-23T12:00:00Z/);
    return true;
  });
  answerAt('2026-11-26T12:00:00Z');
  await assert.rejects(poll(), { code: 'TUF_EXPIRED' });
  device.setTime('2026-11-23T13:00:00Z');
  await poll();
});
