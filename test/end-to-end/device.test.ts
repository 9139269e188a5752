/** A technician's work on the command line: the real program, a real server, real files. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { addKit, DeviceProgram } from '../support/device-program.ts';
import { PublishedRepository, serveRepository } from '../support/published-repository.ts';

const transferFile = 'only where file transfer is granted';
const capabilities = [{ id: 'screen-view' }, { id: 'file-transfer', risk: 'high' as const }];
const capabilityFiles = { 'file-transfer': { 'bin/transfer': transferFile } };
/** Says what environment it was started with. */
const files = { 'bin/environment': '#!/bin/sh\n/bin/cat "/proc/$$/environ"\n' };

async function scene(t: TestContext) {
  const repository = new PublishedRepository({ time: new Date().toISOString() });
  const support = await addKit(repository, {
    component: 'remote-support',
    version: '1.0.0',
    capabilities: capabilities.slice(0, 1),
  });
  repository.offer(support);
  repository.publish();
  const server = await serveRepository(t, repository);
  const device = new DeviceProgram(repository);
  return { repository, server, device };
}

interface Status {
  generation: number;
  components: Record<string, { version: string; capabilities: Record<string, string> }>;
  plan: { digest: string; state: string } | null;
  rolledBack: { component: string; version: string; code: string }[];
  approvals: number;
  verifiersAgreed: boolean;
}

const statusOf = async (device: DeviceProgram): Promise<Status> => (await device.ok('status')) as unknown as Status;

function everyFile(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('a change is polled, read, decided by name, signed and installed; what was declined is nowhere', async (t) => {
  const { repository, server, device } = await scene(t);
  await device.refused('DEVICE_MISSING', 'status');
  await device.init(server.url);
  await device.refused('DEVICE_EXISTS', 'init', ...initArguments(device, server.url));
  const sick = await device.run('doctor');
  assert.equal(sick.code, 1);
  const codes = (sick.json.findings as { code: string }[]).map(({ code }) => code);
  assert.deepEqual(codes, ['ACCOUNT_MISSING', 'POLL_NEVER']);
  await device.addTechnician();
  await device.refused('NOTHING_TO_DO', 'install');
  await device.refused('NOTHING_TO_DO', 'plan');

  const { plan } = (await device.ok('check')) as { plan: { digest: string; state: string } };
  assert.equal(plan.state, 'offered');
  await device.refused('INPUT_NEEDED', 'approve', plan.digest);
  await device.ok('plan', '--decisions-template', device.decisionsFile);
  const approve = ['approve', plan.digest, '--decisions', device.decisionsFile];
  await device.refused('DECISIONS_FILE', ...approve, ...device.signature); // the terms are not accepted
  writeFileSync(device.decisionsFile, '{"planDigest": 1}');
  await device.refused('DECISIONS_FILE', ...approve, ...device.signature);
  assert.equal((await device.approve('screen-view')).state, 'approved');
  assert.equal((await device.ok('install')).outcome, 'committed');

  repository.offer(
    await addKit(repository, { component: 'remote-support', version: '2.0.0', capabilities, capabilityFiles, files }),
  );
  repository.channel.offers = repository.channel.offers.slice(-1);
  repository.publish();
  await device.ok('check');
  await device.approve(); // asked as new: kept off
  await device.ok('install');
  const status = await statusOf(device);
  assert.equal(status.generation, 2);
  assert.deepEqual(status.components['remote-support']!.capabilities, {
    'screen-view': 'granted',
    'file-transfer': 'declined',
  });
  assert.equal(status.components['remote-support']!.version, '2.0.0');
  assert.equal(status.approvals, 2);
  assert.equal(status.verifiersAgreed, true);
  for (const file of everyFile(device.directory)) assert.ok(!readFileSync(file).includes(transferFile), file);

  await device.ok('capability', 'request', 'remote-support', 'file-transfer');
  await device.refused('REQUEST_REFUSED', 'capability', 'request', 'remote-support', 'screen-view');
  await device.approve('file-transfer');
  await device.ok('install');
  assert.equal((await statusOf(device)).components['remote-support']!.capabilities['file-transfer'], 'granted');
  const granted = everyFile(join(device.directory, 'store')).filter((file) =>
    readFileSync(file).includes(transferFile),
  );
  assert.equal(granted.length, 1);

  const { path } = (await device.ok('path', 'remote-support')) as { path: string };
  assert.equal(readFileSync(join(path, 'version'), 'utf8'), '2.0.0');
  const run = await device.run('exec', 'remote-support', '--', 'bin/health');
  assert.equal(run.code, 0, run.stderr);
  const { stdout } = await device.run('exec', 'remote-support', '--', 'bin/environment');
  assert.deepEqual(
    stdout.split('\0').map((variable) => variable.split('=')[0]),
    ['COUNTERSIGN_COMPONENT', 'COUNTERSIGN_GRANTS', 'COUNTERSIGN_DATA', ''],
    'what a component’s program needs, and nothing of the account that started it',
  );
  await device.refused('HOOK_PATH', 'exec', 'remote-support', '--', '../../../device.db');
  await device.refused('COMPONENT_NOT_INSTALLED', 'path', 'nothing');
  const { history } = (await device.ok('history')) as { history: { state: string; approvers: { name: string }[] }[] };
  assert.deepEqual(
    history.map(({ state, approvers }) => [state, approvers.map(({ name }) => name)]),
    [1, 2, 3].map(() => ['committed', ['Kim Example']]),
  );
  assert.equal((await device.ok('audit', 'verify')).verified, true);
  const exported = join(device.scratch, 'audit.jsonl');
  await device.ok('audit', 'export', exported);
  assert.ok(readFileSync(exported, 'utf8').includes('Kim Example'));
  const healthy = await device.run('doctor');
  assert.deepEqual([healthy.code, healthy.json.findings], [0, []]);
});

const initArguments = (device: DeviceProgram, url: string): string[] => [
  ...['--server', url, '--model', 'Cytometer 5', '--serial', 'SN 1'],
  ...['--package', device.packageFolder],
];

test('a release that is not well goes back by itself; declining, holding and rolling back are answers too', async (t) => {
  const { repository, server, device } = await scene(t);
  await device.init(server.url);
  await device.addTechnician();
  await device.ok('check');
  await device.approve('screen-view');
  await device.ok('install');
  const bad = await addKit(repository, {
    component: 'remote-support',
    version: '3.0.0',
    capabilities: capabilities.slice(0, 1),
    scripts: { health: 'exit 1\n' },
  });
  repository.offer(bad);
  repository.publish();
  const { plan } = (await device.ok('check')) as { plan: { digest: string } };
  await device.refused('APPROVAL_PLAN_UNKNOWN', 'hold', 'ffffffff', '--reason', 'x');
  await device.refused('INPUT_NEEDED', 'hold', plan.digest);
  await device.ok('hold', plan.digest.slice(0, 12), '--reason', 'samples are running', '--until', '2099-01-01');
  assert.equal((await statusOf(device)).plan?.state, 'held');
  await device.ok('decline', plan.digest, '--reason', 'not today', ...device.signature);
  assert.equal((await statusOf(device)).plan?.state, 'declined');
  await device.refused('NOTHING_TO_DO', 'install');
  await device.approve(); // a person may change their mind
  const failed = await device.run('install');
  assert.equal(failed.code, 1);
  assert.deepEqual(
    [failed.json.outcome, failed.json.component, failed.json.code],
    ['rolled-back', 'remote-support', 'HEALTH_DEADLINE'],
  );
  const status = await statusOf(device);
  assert.equal(status.components['remote-support']!.version, '1.0.0');
  assert.deepEqual(status.rolledBack, [{ component: 'remote-support', version: '3.0.0', code: 'HEALTH_DEADLINE' }]);
  assert.equal((await device.ok('check')).plan, null);

  repository.offer(
    await addKit(repository, { component: 'remote-support', version: '4.0.0', capabilities: capabilities.slice(0, 1) }),
  );
  repository.publish();
  await device.ok('check');
  await device.approve();
  await device.ok('install');
  await device.refused('ACCOUNT_REFUSED', 'rollback', '--account', 'nobody', '--password-file', device.passwordFile);
  assert.equal((await device.ok('rollback', ...device.signature)).outcome, 'committed');
  assert.equal((await statusOf(device)).components['remote-support']!.version, '1.0.0');
  assert.equal((await device.ok('audit', 'verify')).verified, true);
});

test('the service polls, installs what was approved, closes a gate within a second and ends when told', async (t) => {
  const { repository, server, device } = await scene(t);
  await device.init(server.url);
  await device.addTechnician();
  const service = await device.serve(t);
  await service.event('polled');
  const second = await device.run('run');
  assert.equal(second.json.error?.code, 'DEVICE_BUSY');
  const { plan } = await device.approve('screen-view');
  assert.equal((await device.ok('install', plan as string)).outcome, 'committed');
  const grants = join(device.directory, 'grants', 'remote-support.json');
  const open = (): string[] =>
    (JSON.parse(readFileSync(grants, 'utf8')) as { grants: { id: string }[] }).grants.map(({ id }) => id);
  assert.deepEqual(open(), ['screen-view']);

  // The next change takes long to stop; a revocation during that time takes effect at once.
  const gate = join(device.scratch, 'go');
  repository.offer(
    await addKit(repository, {
      component: 'remote-support',
      version: '1.1.0',
      capabilities: capabilities.slice(0, 1),
      hooks: { start: [['bin/start'], 60] },
      scripts: { start: `while [ ! -e ${gate} ]; do sleep 0.05; done\necho 1.1.0 > "$COUNTERSIGN_DATA/running"\n` },
    }),
  );
  repository.publish();
  await device.ok('check');
  await device.approve();
  await until(async () => (await statusOf(device)).plan?.state === 'switching');
  const asked = performance.now();
  await device.ok('capability', 'revoke', 'remote-support', 'screen-view');
  assert.deepEqual(open(), []);
  t.diagnostic(`closed and answered after ${Math.round(performance.now() - asked)} ms with the program's own start`);
  writeFileSync(gate, '');
  await until(async () => (await statusOf(device)).generation === 2);
  assert.deepEqual(open(), []);
  assert.equal((await statusOf(device)).components['remote-support']!.capabilities['screen-view'], 'revoked');
  const { code, json } = await service.kill('SIGTERM');
  assert.deepEqual([code, json.event], [0, 'stopped']);
});

test('a killed service leaves nothing that its successor cannot go on with', async (t) => {
  const { repository, server, device } = await scene(t);
  await device.init(server.url);
  await device.addTechnician();
  const first = await device.serve(t);
  await first.event('polled');
  const gate = join(device.scratch, 'go');
  repository.channel.offers = [];
  repository.offer(
    await addKit(repository, {
      component: 'remote-support',
      version: '1.1.0',
      hooks: { start: [['bin/start'], 60] },
      scripts: { start: `while [ ! -e ${gate} ]; do sleep 0.05; done\necho 1.1.0 > "$COUNTERSIGN_DATA/running"\n` },
    }),
  );
  repository.publish();
  await device.ok('check');
  await device.approve();
  await until(async () => (await statusOf(device)).plan?.state === 'switching');
  await first.kill();
  writeFileSync(gate, '');
  const next = await device.serve(t);
  assert.equal((next.events[0]!.recovered as { outcome: string }).outcome, 'committed');
  assert.equal((await statusOf(device)).components['remote-support']!.version, '1.1.0');
  assert.ok(existsSync(join(device.directory, 'grants', 'remote-support.json')));
  assert.equal((await device.ok('audit', 'verify')).verified, true);
});

/** Checks again and again; each check starts a program, so this takes up to half a minute. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < 60; look++) if (await holds()) return;
  assert.fail('what was waited for never came');
}
