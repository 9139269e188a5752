import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { planDigest, statementFormat, type Grant, type PlanStep } from '@countersign/protocol';
import {
  acceptPolicy,
  kitFolder,
  makeKit,
  prepare,
  type Kit,
  type Wish,
} from '../../../../test/support/release-kit.ts';
import { scratchDevice } from '../../../../test/support/scratch-device.ts';
import { putRow } from '../../../../test/support/tampering.ts';
import { openAlerts } from '../device/alerts.ts';
import { verifyAudit } from '../device/audit.ts';
import { withLock, type Device } from '../device/device.ts';
import { listDecisions } from '../generations/capability-decisions.ts';
import { baseOf, currentGeneration, currentRow, findComponent } from '../generations/generations.ts';
import { grantsFile, revokeCapability } from '../generations/grants.ts';
import { highestCommitted, listQuarantined } from '../generations/install-history.ts';
import { openJob } from '../generations/journal.ts';
import { listPlans, openPlan } from '../generations/plans.ts';
import { archiveFolder, storeDirectories } from '../generations/store.ts';
import type { DecidedInstall } from './decided-install.ts';
import { install, type InstallRequest } from './installer.ts';
import { recover } from './recovery.ts';
import { rollback } from './rollback.ts';

const posix = { skip: process.platform === 'win32' };
const kits: Record<string, Kit> = {};
const capabilities = [{ id: 'screen-view' }, { id: 'file-transfer', risk: 'phi' as const }];

before(async () => {
  const folder = kitFolder();
  const make = async (name: string, options: Parameters<typeof makeKit>[1]): Promise<void> => {
    kits[name] = await makeKit(folder, options);
  };
  const files = { 'file-transfer': { 'bin/transfer': '#!/bin/sh\n', secret: 'the files of file-transfer' } };
  await make('one', { component: 'app', version: '1.0.0', capabilities });
  await make('two', { component: 'app', version: '2.0.0', capabilities, capabilityFiles: files });
  await make('sick', {
    component: 'app',
    version: '3.0.0',
    scripts: { health: 'exit 3\n' },
    hooks: { health: [['bin/health'], 1] },
  });
  await make('lame', { component: 'app', version: '3.1.0', scripts: { start: 'echo no way; exit 4\n' } });
  await make('slow', {
    component: 'app',
    version: '3.2.0',
    scripts: { start: 'while :; do :; done\n' },
    hooks: { start: [['bin/start'], 1] },
  });
  await make('base', { component: 'base', version: '1.0.0' });
  await make('base-two', { component: 'base', version: '2.0.0' });
  await make('user', {
    component: 'user',
    version: '1.0.0',
    requires: { base: '*' },
    hooks: { health: [['${component:base}/bin/tool', 'x'], 2] },
  });
});

function device(): ReturnType<typeof scratchDevice> {
  const made = scratchDevice();
  acceptPolicy(made);
  return made;
}
const put = (target: Device, wishes: readonly Wish[], changes: Partial<InstallRequest> = {}) =>
  withLock(target, () => install(target, { ...prepare(target, wishes), ...changes }));
const data = (target: Device, component: string, file: string): string =>
  readFileSync(join(target.directory, 'data', component, file), 'utf8').trim();
const baseFolder = (target: Device, component: string): string =>
  baseOf(findComponent(currentGeneration(target), component)).folder;
const grantsOf = (target: Device, component: string): string[] =>
  (JSON.parse(readFileSync(grantsFile(target, component), 'utf8')) as { grants: { id: string }[] }).grants.map(
    ({ id }) => id,
  );
const stateOf = (target: Device, capability: string): string | undefined =>
  listDecisions(target).find((one) => one.capability === capability)?.state;
const planStates = (target: Device): string[] => listPlans(target).map(({ state }) => state);

/** Checks after every change that all records agree and that no files are left over. */
function checkTruth(target: Device, version: string | null): void {
  const current = currentGeneration(target);
  assert.equal(openJob(target), null);
  assert.equal(current?.components.find(({ component }) => component === 'app')?.version ?? null, version);
  if (version !== null) {
    assert.equal(data(target, 'app', 'running'), version);
    assert.equal(readFileSync(join(baseFolder(target, 'app'), 'version'), 'utf8'), version);
  }
  assert.deepEqual(readdirSync(join(target.directory, 'store')).sort(), [...storeDirectories(target)].sort());
  assert.deepEqual(
    readdirSync(join(target.directory, 'staging')).filter((name) => name !== 'downloads'),
    [],
  );
  assert.deepEqual(
    readdirSync(join(target.directory, 'grants')).sort(),
    (current?.components ?? []).map(({ component }) => `${component}.json`).sort(),
  );
  verifyAudit(target);
}

test('installs, updates and keeps the generation before', posix, async () => {
  const target = device();
  assert.deepEqual(await put(target, [{ kit: kits.one! }]), { outcome: 'committed', generation: 1 });
  checkTruth(target, '1.0.0');
  assert.deepEqual(await put(target, [{ kit: kits.two! }]), { outcome: 'committed', generation: 2 });
  checkTruth(target, '2.0.0');
  assert.deepEqual(currentRow(target), { generation: 2, previous: 1 });
  assert.equal(
    data(target, 'app', 'log').replace(/\s+/g, ' '),
    'start 1.0.0 health 1.0.0 health 1.0.0 stop 1.0.0 start 2.0.0 health 2.0.0 health 2.0.0',
  );
  assert.deepEqual(planStates(target), ['committed', 'committed']);
});

test('what is not granted is not on the device and not in the grants', posix, async () => {
  const target = device();
  await put(target, [{ kit: kits.two!, grant: ['screen-view'], decline: ['file-transfer'] }]);
  checkTruth(target, '2.0.0');
  assert.deepEqual(grantsOf(target, 'app'), ['screen-view']);
  assert.equal(existsSync(archiveFolder(target, kits.two!.archives.get('file-transfer')!.sha256)), false);
  await put(target, [{ kit: kits.two!, grant: ['screen-view', 'file-transfer'] }]);
  checkTruth(target, '2.0.0');
  const { grants } = JSON.parse(readFileSync(grantsFile(target, 'app'), 'utf8')) as {
    grants: { id: string; path: string | null }[];
  };
  assert.deepEqual(
    grants.map(({ id, path }) => [id, path === null ? null : readFileSync(join(path, 'secret'), 'utf8')]),
    [
      ['file-transfer', 'the files of file-transfer'],
      ['screen-view', null],
    ],
  );
});

for (const [name, code] of [
  ['sick', 'HEALTH_DEADLINE'],
  ['lame', 'HOOK_FAILED'],
  ['slow', 'HOOK_DEADLINE'],
] as const)
  test(`a release that ends in ${code} is rolled back and quarantined`, posix, async () => {
    const target = device();
    await put(target, [{ kit: kits.one!, grant: ['screen-view'] }]);
    const outcome = await put(target, [{ kit: kits[name]! }]);
    assert.deepEqual(outcome, { outcome: 'rolled-back', generation: 1, code, component: 'app' });
    checkTruth(target, '1.0.0');
    assert.deepEqual(grantsOf(target, 'app'), ['screen-view']);
    const { component, version, release } = kits[name]!;
    assert.deepEqual(listQuarantined(target), [{ release, component, version, code }]);
    assert.deepEqual(
      openAlerts(target).map((alert) => alert.code),
      [code],
    );
    assert.ok(planStates(target).includes('rolled-back'));
    assert.deepEqual(highestCommitted(target), { app: '1.0.0' });
  });

test('a first installation that fails leaves nothing installed', posix, async () => {
  const target = device();
  assert.equal((await put(target, [{ kit: kits.sick! }])).outcome, 'rolled-back');
  checkTruth(target, null);
  assert.equal(currentRow(target), null);
  assert.equal((await put(target, [{ kit: kits.one! }])).outcome, 'committed');
  checkTruth(target, '1.0.0');
});

test('grants of a change that fails are suspended, what stood before stands again', posix, async () => {
  const target = device();
  await put(target, [{ kit: kits.one!, grant: ['screen-view'] }]);
  const folder = kitFolder();
  const wider = await makeKit(folder, {
    component: 'app',
    version: '4.0.0',
    capabilities: [{ id: 'screen-view', scope: { area: ['all'] } }, { id: 'file-transfer' }],
    scripts: { start: 'exit 1\n' },
  });
  await put(target, [{ kit: wider, grant: ['screen-view', 'file-transfer'] }]);
  assert.deepEqual(
    listDecisions(target).map(({ capability, scope, state }) => ({ capability, scope, state })),
    [
      { capability: 'file-transfer', scope: {}, state: 'suspended' },
      { capability: 'screen-view', scope: {}, state: 'granted' },
    ],
  );
  checkTruth(target, '1.0.0');
});

test('a refusal right before the switch leaves the old generation running untouched', posix, async () => {
  const target = device();
  await put(target, [{ kit: kits.one! }]);
  const refusing = () => Promise.reject(Object.assign(new Error('revoked'), { code: 'RELEASE_REVOKED' }));
  await assert.rejects(put(target, [{ kit: kits.two! }], { beforeSwitch: refusing }), { code: 'RELEASE_REVOKED' });
  assert.doesNotMatch(data(target, 'app', 'log'), /stop/);
  await withLock(target, () => recover(target));
  checkTruth(target, '1.0.0');
});

test('refuses what the plan does not say', posix, async () => {
  const target = device();
  const two = prepare(target, [{ kit: kits.two!, grant: ['screen-view', 'file-transfer'] }]);
  const attempt = (changes: Partial<InstallRequest>) => withLock(target, () => install(target, { ...two, ...changes }));
  const { decided, archives } = two;
  const [step] = decided.steps;
  const [allowed, transfer] = step!.grants;
  const other = { ...kits.one!.archives.get('')! };
  const change = (changes: Partial<DecidedInstall>): Partial<InstallRequest> => ({
    decided: { ...decided, ...changes },
  });
  const planned = (changes: Partial<PlanStep>) =>
    change({ steps: [{ ...step!, step: { ...step!.step, ...changes } }] });
  const granted = (changes: Partial<Grant>) => change({ steps: [{ ...step!, grants: [{ ...allowed!, ...changes }] }] });
  const signed = (kit: Kit) => ({ bytes: kit.statement, statement: statementFormat.parse(kit.statement) });
  const cases: [string, Partial<InstallRequest>][] = [
    ['INSTALL_INPUT', change({ digest: '0'.repeat(64) })],
    ['INSTALL_INPUT', change({ steps: [] })],
    ['INSTALL_INPUT', change({ dropped: [{ component: 'other', reason: 'left out' }] })],
    ['INSTALL_INPUT', change({ steps: [], dropped: [{ component: 'other', reason: 'left out' }, ...decided.dropped] })],
    ['INSTALL_INPUT', planned({ component: 'other' })],
    ['INSTALL_INPUT', planned({ action: 'update' })],
    ['INSTALL_INPUT', planned({ to: { ...step!.step.to!, version: '9.0.0' } })],
    ['INSTALL_INPUT', planned({ kept: [{ ...allowed! }] })],
    ['INSTALL_INPUT', change({ statements: new Map() })],
    ['INSTALL_INPUT', change({ statements: new Map([['app', signed(kits.one!)]]) })],
    ['INSTALL_INPUT', granted({ state: 'declined' })],
    ['INSTALL_INPUT', granted({ capability: 'remote-control' })],
    ['INSTALL_INPUT', granted({ scope: { area: ['all'] } })],
    ['INSTALL_INPUT', { archives: new Map([['app', [...archives.get('app')!, other]]]) }],
    ['INSTALL_INPUT', { archives: new Map([...archives, ['other', [other]]]) }],
    ['STORE_ARCHIVE_MISSING', { archives: new Map() }],
  ];
  for (const [index, [code, changes]] of cases.entries())
    await assert.rejects(attempt(changes), { code }, `case ${index}`);
  // An archive of a capability that was declined is refused, even where it is handed over.
  await assert.rejects(attempt(change({ steps: [{ ...step!, grants: [allowed!], declined: [transfer!] }] })), {
    code: 'INSTALL_INPUT',
  });
  assert.deepEqual(readdirSync(join(target.directory, 'store')), []);
  assert.equal((await attempt({})).outcome, 'committed');
  await assert.rejects(attempt({}), { code: 'INSTALL_PLAN_STALE' });
});

test('refuses without a required capability, and what the release does not declare', posix, async () => {
  const target = device();
  const folder = kitFolder();
  const strict = await makeKit(folder, {
    component: 'app',
    version: '1.0.0',
    capabilities: [{ id: 'must', required: true }, { id: 'may' }],
  });
  await assert.rejects(put(target, [{ kit: strict }]), { code: 'INSTALL_INPUT' });
  const request = prepare(target, [{ kit: strict, grant: ['must', 'may'] }]);
  // A plan that asks for more than the statement declares.
  const undeclared = await makeKit(folder, {
    component: 'app',
    version: '1.0.0',
    capabilities: [{ id: 'must', required: true }],
  });
  const to = { version: '1.0.0', platform: 'linux-x64' as const, release: undeclared.release };
  const { plan, steps } = request.decided;
  const step = { ...plan.steps[0]!, to };
  const wrong = { ...plan, steps: [step] };
  const decided = {
    ...request.decided,
    plan: wrong,
    digest: planDigest(wrong),
    steps: [{ ...steps[0]!, step }],
    statements: new Map([
      ['app', { bytes: undeclared.statement, statement: statementFormat.parse(undeclared.statement) }],
    ]),
  };
  await assert.rejects(
    withLock(target, () => install(target, { ...request, decided })),
    { code: 'INSTALL_INPUT' },
  );
});

test('a step that was left out leaves its component as it is, and what is left is installed', posix, async () => {
  const target = device();
  await put(target, [{ kit: kits.one! }]);
  const other = await makeKit(kitFolder(), { component: 'other', version: '1.0.0' });
  const { decided, archives, ...request } = prepare(target, [{ kit: kits.two! }, { kit: other }]);
  const without = (...names: string[]) => ({
    ...request,
    decided: {
      ...decided,
      steps: decided.steps.filter(({ step }) => !names.includes(step.component)),
      dropped: names.map((component) => ({ component, reason: 'it needs what was kept off' })),
    },
    archives: new Map([...archives].filter(([name]) => !names.includes(name))),
  });
  const attempt = (...names: string[]) => withLock(target, () => install(target, without(...names)));
  const all = { ...without('app'), archives };
  await assert.rejects(
    withLock(target, () => install(target, all)),
    { code: 'INSTALL_INPUT', message: /archives of app/ },
  );
  await assert.rejects(attempt('app', 'other'), { code: 'INSTALL_NOTHING_LEFT', message: /app: it needs what/ });
  assert.equal((await attempt('app')).outcome, 'committed');
  assert.deepEqual(
    currentGeneration(target)!.components.map(({ component, version }) => `${component} ${version}`),
    ['app 1.0.0', 'other 1.0.0'],
  );
});

test('components stop and start by their requirements, and dependents with what they run on', posix, async () => {
  const target = device();
  const folder = kitFolder();
  const log = (name: string): string => `echo ${name} $COUNTERSIGN_COMPONENT >> ${join(target.directory, 'order')}\n`;
  const scripts = { start: log('start'), stop: log('stop'), health: 'exit 0\n' };
  const tool = { 'bin/tool': `#!/bin/sh\n[ "$1" = x ] && [ -e version ] && ${log('tool')}` };
  const base = await makeKit(folder, { component: 'runtime', version: '1.0.0', scripts, files: tool });
  const newer = await makeKit(folder, { component: 'runtime', version: '1.1.0', scripts, files: tool });
  const user = await makeKit(folder, {
    component: 'app',
    version: '1.0.0',
    requires: { runtime: '*' },
    scripts,
    hooks: { health: [['${component:runtime}/bin/tool', 'x'], 2] },
  });
  const apart = await makeKit(folder, { component: 'zoo', version: '1.0.0', scripts });
  const order = (): string[] =>
    readFileSync(join(target.directory, 'order'), 'utf8')
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('tool'));
  await put(target, [{ kit: base }, { kit: user }, { kit: apart }]);
  assert.deepEqual(order(), ['start runtime', 'start app', 'start zoo']);
  assert.match(readFileSync(join(target.directory, 'order'), 'utf8'), /tool app/);
  await put(target, [{ kit: newer }]);
  assert.deepEqual(order().slice(3), ['stop app', 'stop runtime', 'start runtime', 'start app']);
  await assert.rejects(put(target, [{ remove: 'runtime' }]), { code: 'INSTALL_REFERENCE' });
  await put(target, [{ remove: 'app' }, { remove: 'runtime' }]);
  assert.deepEqual(order().slice(7), ['stop app', 'stop runtime']);
  assert.deepEqual(
    currentGeneration(target)?.components.map(({ component }) => component),
    ['zoo'],
  );
  assert.throws(() => baseFolder(target, 'app'), { code: 'COMPONENT_NOT_INSTALLED' });
  assert.deepEqual(readdirSync(join(target.directory, 'grants')), ['zoo.json']);
});

test('taking back closes the gate at once, survives updates and rollbacks, and the files go', posix, async () => {
  const target = device();
  await put(target, [{ kit: kits.one!, grant: ['screen-view'] }]);
  await put(target, [{ kit: kits.two!, grant: ['screen-view', 'file-transfer'] }]);
  await withLock(target, () => revokeCapability(target, 'app', 'file-transfer', 'tester'));
  assert.deepEqual(grantsOf(target, 'app'), ['screen-view']);
  await withLock(target, () =>
    assert.throws(() => revokeCapability(target, 'app', 'file-transfer', 'tester'), { code: 'CAPABILITY_NOT_GRANTED' }),
  );
  const transfer = archiveFolder(target, kits.two!.archives.get('file-transfer')!.sha256);
  assert.ok(existsSync(transfer));
  await put(target, [{ kit: kits.base! }]);
  await put(target, [{ kit: kits['base-two']! }]);
  assert.equal(existsSync(transfer), false);
  await withLock(target, () => revokeCapability(target, 'app', 'screen-view', 'tester'));
  assert.equal((await withLock(target, () => rollback(target, { check: () => undefined }))).outcome, 'committed');
  assert.deepEqual(grantsOf(target, 'app'), []);
  checkTruth(target, '2.0.0');
});

test('what is taken back while the change is under way is not granted by it', posix, async () => {
  const target = device();
  const beforeSwitch = (): void => revokeCapability(target, 'app', 'file-transfer', 'tester');
  await put(target, [{ kit: kits.two!, grant: ['screen-view', 'file-transfer'] }], { beforeSwitch });
  assert.deepEqual(grantsOf(target, 'app'), ['screen-view']);
  assert.equal(stateOf(target, 'file-transfer'), 'revoked');
});

test('a rollback by hand goes back once, suspends newer grants and asks the check first', posix, async () => {
  const target = device();
  await withLock(target, () =>
    assert.rejects(rollback(target, { check: () => undefined }), { code: 'ROLLBACK_NOTHING' }),
  );
  await put(target, [{ kit: kits.one!, grant: ['screen-view'] }]);
  await put(target, [{ kit: kits.two!, grant: ['screen-view', 'file-transfer'] }]);
  const revoked = (): never => {
    throw Object.assign(new Error('revoked'), { code: 'RELEASE_REVOKED' });
  };
  await withLock(target, () => assert.rejects(rollback(target, { check: revoked }), { code: 'RELEASE_REVOKED' }));
  checkTruth(target, '2.0.0');
  const outcome = await withLock(target, () => rollback(target, { check: ({ number }) => assert.equal(number, 1) }));
  assert.deepEqual(outcome, { outcome: 'committed', generation: 3 });
  checkTruth(target, '1.0.0');
  assert.deepEqual(grantsOf(target, 'app'), ['screen-view']);
  assert.equal(stateOf(target, 'file-transfer'), 'suspended');
  await withLock(target, () =>
    assert.rejects(rollback(target, { check: () => undefined }), { code: 'ROLLBACK_NOTHING' }),
  );
  assert.deepEqual(highestCommitted(target), { app: '2.0.0' });
});

for (const [where, scripts, code] of [
  ['start', { start: 'if [ -e SICK ]; then exit 3; fi\n', health: 'exit 0\n' }, 'HOOK_FAILED'],
  ['health', { health: 'if [ -e SICK ]; then exit 3; fi\n' }, 'HEALTH_DEADLINE'],
] as const)
  test(
    `a rollback by hand that fails in ${where} leaves the plan committed, and the next one is installed`,
    posix,
    async () => {
      const target = device();
      const sick = join(target.directory, 'sick');
      const marked = Object.fromEntries(
        Object.entries(scripts).map(([hook, script]) => [hook, script.replace('SICK', sick)]),
      );
      const older = await makeKit(kitFolder(), {
        component: 'app',
        version: '1.1.0',
        scripts: marked,
        hooks: { health: [['bin/health'], 1] },
      });
      await put(target, [{ kit: older }]);
      await put(target, [{ kit: kits.two! }]);
      writeFileSync(sick, '');
      const outcome = await withLock(target, () => rollback(target, { check: () => undefined }));
      assert.deepEqual(outcome, { outcome: 'rolled-back', generation: 2, code, component: 'app' });
      assert.deepEqual(planStates(target), ['committed', 'committed']);
      assert.equal(openPlan(target), null);
      checkTruth(target, '2.0.0');
      assert.equal((await put(target, [{ kit: kits.base! }])).outcome, 'committed');
    },
  );

test(
  'damaged files are an alert at the start, are fetched anew and mended by the next installation',
  posix,
  async () => {
    const target = device();
    await put(target, [{ kit: kits.one! }]);
    writeFileSync(join(baseFolder(target, 'app'), 'version'), 'changed');
    const { damaged } = await withLock(target, () => recover(target));
    assert.deepEqual(damaged, ['app']);
    assert.deepEqual(
      openAlerts(target).map(({ code }) => code),
      ['COMPONENT_UNHEALTHY'],
    );
    await put(target, [{ kit: kits.one!, grant: ['screen-view'] }]);
    checkTruth(target, '1.0.0');
    assert.deepEqual(openAlerts(target), []);
  },
);

test('an archive that is not what was signed leaves nothing and stops nothing', posix, async () => {
  const target = device();
  await put(target, [{ kit: kits.one! }]);
  const request = prepare(target, [{ kit: kits.two! }]);
  const { file } = request.archives.get('app')![0]!;
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(file, bytes);
  await assert.rejects(
    withLock(target, () => install(target, request)),
    (error: { code: string }) => error.code.startsWith('ARCHIVE_'),
  );
  await withLock(target, () => recover(target));
  checkTruth(target, '1.0.0');
});

test('two archives that share a prefix are refused', posix, async () => {
  const target = device();
  const base = kits.one!.archives.get('')!;
  const sha256 = `${base.sha256.slice(0, 16)}${'0'.repeat(48)}`;
  putRow(target, 'archive', { sha256, directory: 'x', files: Buffer.from('[]'), added: 'x' });
  await assert.rejects(put(target, [{ kit: kits.one! }]), { code: 'STORE_PREFIX_TAKEN' });
});

test('something in the way of a store folder is taken away or stepped around', posix, async () => {
  const target = device();
  const { sha256 } = kits.one!.archives.get('')!;
  const folder = join(target.directory, 'store', sha256.slice(0, 16));
  mkdirSync(join(folder, 'half'), { recursive: true });
  await put(target, [{ kit: kits.one! }]);
  checkTruth(target, '1.0.0');
  rmSync(folder, { recursive: true });
  assert.deepEqual((await withLock(target, () => recover(target))).damaged, ['app']);
});

test('writing needs the lock', posix, async () => {
  const target = device();
  const code = 'DEVICE_NOT_LOCKED';
  await assert.rejects(install(target, prepare(target, [{ kit: kits.one! }])), { code });
  await assert.rejects(recover(target), { code });
  await assert.rejects(rollback(target, { check: () => undefined }), { code });
  assert.throws(() => revokeCapability(target, 'app', 'x', 'y'), { code });
});
