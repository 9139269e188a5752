import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { PublishedRepository } from '../../../../test/support/published-repository.ts';
import type { ReleaseOptions } from '../../../../test/support/release-files.ts';
import { repositoryDevice } from '../../../../test/support/repository-device.ts';
import { emptyTable, overwriteRows } from '../../../../test/support/tampering.ts';
import { addAccount, signIn } from '../consent/accounts.ts';
import { recordAnswer, signAnswer } from '../consent/approvals.ts';
import { computeDevicePlan, recheckBeforeSwitch } from '../consent/planning.ts';
import { openAlerts } from '../device/alerts.ts';
import { withLock } from '../device/device.ts';
import { readSetting, writeSetting } from '../device/settings.ts';
import { downloadsFolder, pruneDownloads } from '../generations/download-folder.ts';
import { setPlanState, readPlan } from '../generations/plans.ts';
import { refreshTrust } from '../trust/refresh.ts';
import { decideInstall, type DecidedInstall } from './decided-install.ts';
import { fetchArchives, type ArchiveFetchOptions } from './downloads.ts';
import { confirmByBothVerifiers } from './verifiers.ts';

const archive = (size: number) => ({ bytes: randomBytes(size), unpacked: size, files: 1 });
const password = 'correct horse battery';
const weakCostsForTests = { N: 16, r: 8, p: 1 };

/** A device whose technician approved remote-support with screen-view on and file-transfer off. */
async function setUp(t: TestContext, change: Partial<ReleaseOptions> = {}) {
  const repository = new PublishedRepository();
  const [base, view, transfer] = [archive(3_000_000), archive(5000), archive(6000)];
  const capabilities = [
    { id: 'screen-view', archive: view },
    { id: 'file-transfer', archive: transfer, risk: 'high' as const },
    { id: 'clipboard' },
  ];
  const release = repository.addRelease({ name: 'remote-support', version: '2.0.0', base, capabilities, ...change });
  repository.offer(release);
  repository.publish();
  const { device, poll, server } = await repositoryDevice(t, repository);
  const trust = await poll();
  const { digest, plan } = (await withLock(device, () => computeDevicePlan(device, trust)))!;
  await addAccount(device, { name: 'kim', printedName: 'Kim', roles: ['technician'], password, weakCostsForTests });
  const answer = {
    plan: digest,
    answer: 'approve' as const,
    decisions: plan.steps.flatMap(({ component, decisions }) =>
      decisions.map(({ capability }) => ({ component, capability, grant: capability !== 'file-transfer' })),
    ),
    terms: [],
    language: 'en',
    shown: 'all of it',
  };
  recordAnswer(device, signAnswer(device, answer, await signIn(device, 'kim', password)));
  const decided = decideInstall(device, digest);
  const confirm = async () =>
    withLock(device, async () => confirmByBothVerifiers(device, await refreshTrust(device), decided));
  const fetchAll = (options?: ArchiveFetchOptions, what: DecidedInstall = decided) =>
    withLock(device, async () => fetchArchives(device, await refreshTrust(device), what, options));
  return { repository, device, server, digest, decided, confirm, fetchAll, base, view, transfer, release };
}

const targetRequests = ({ server }: { server: { requests: string[] } }): string[] =>
  server.requests.filter((line) => line.includes('.tar.zst')).map((line) => line.replace(/.*[0-9a-f]{64}\./, ''));

test('fetches the base and what was granted, and never asks for what was refused', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  const seen: number[] = [];
  const fetched = await all.fetchAll({ onProgress: ({ done, total }) => seen.push(done / total) });
  assert.deepEqual([...fetched.keys()], ['remote-support']);
  const archives = fetched.get('remote-support')!;
  assert.deepEqual(
    archives.map(({ capability, sha256: digest }) => [capability, digest]),
    [
      ['', sha256(all.base.bytes)],
      ['screen-view', sha256(all.view.bytes)],
    ],
  );
  for (const { file, sha256: digest } of archives) assert.equal(sha256(readFileSync(file)), digest);
  const [step] = all.decided.steps;
  assert.deepEqual(
    [step!.grants.map(({ capability }) => capability), step!.declined.map(({ capability }) => capability)],
    [['clipboard', 'screen-view'], ['file-transfer']],
  );
  assert.equal(sha256(all.decided.statements.get('remote-support')!.bytes), all.release.release);
  assert.deepEqual(targetRequests(all).toSorted(), ['any.base.tar.zst 200', 'any.cap-screen-view.tar.zst 200']);
  assert.equal(seen.at(-1), 1);
  all.server.requests.length = 0;
  await all.fetchAll();
  assert.deepEqual(targetRequests(all), []);
});

test('nothing is fetched before both verifiers agreed on this plan', async (t) => {
  const all = await setUp(t);
  await assert.rejects(all.fetchAll(), { code: 'PLAN_NOT_READY' });
  assert.deepEqual(targetRequests(all), []);
  await all.confirm();
  assert.equal(readPlan(all.device, all.digest).verdict, 'agreed');
  await all.fetchAll();
});

test('verifiers that disagree stop the plan and raise an alert', async (t) => {
  const all = await setUp(t);
  all.repository.rotateRoot(() => {}).rotateRoot(() => {});
  await all.confirm();
  writeFileSync(join(all.device.directory, 'metadata', 'history', '2.root.json'), all.repository.shipped.root);
  await assert.rejects(all.confirm(), { code: 'VERIFIERS_DISAGREE' });
  assert.equal(readPlan(all.device, all.digest).verdict, 'disagreed');
  assert.deepEqual(
    openAlerts(all.device).map(({ code, severity }) => [code, severity]),
    [['VERIFIERS_DISAGREE', 'critical']],
  );
  await assert.rejects(all.fetchAll(), { code: 'PLAN_NOT_READY' });
  writeFileSync(
    join(all.device.directory, 'metadata', 'history', '2.root.json'),
    all.repository.files.get('metadata/2.root.json')!,
  );
  await all.confirm();
  assert.deepEqual(openAlerts(all.device), []);
  await all.fetchAll();
});

test('a broken transfer continues where it ended', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  all.server.intercept = (request, response) => {
    if (!request.url!.includes('base.tar.zst')) return false;
    response.writeHead(200, { 'content-length': all.base.bytes.length });
    response.write(all.base.bytes.subarray(0, 2_000_000), () => response.destroy());
    return true;
  };
  await assert.rejects(all.fetchAll(), { code: 'SOURCE_BROKEN' });
  assert.deepEqual(readdirSync(downloadsFolder(all.device)), [`${sha256(all.base.bytes)}.part`]);
  all.server.intercept = () => false;
  let first = -1;
  await all.fetchAll({ onProgress: ({ done }) => void (first = first < 0 ? done : first) });
  assert.ok(first >= 1_000_000, `continued at ${first}`);
  assert.ok(targetRequests(all).includes('any.base.tar.zst 206'));
});

test('a transfer can be stopped and taken up again', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  const stop = new AbortController();
  await assert.rejects(all.fetchAll({ signal: stop.signal, onProgress: () => stop.abort() }), {
    code: 'SOURCE_STOPPED',
  });
  await all.fetchAll();
});

test('an archive that differs by one byte is refused and not kept', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  all.server.intercept = (request, response) => {
    if (!request.url!.includes('base.tar.zst')) return false;
    const bytes = Buffer.from(all.base.bytes);
    bytes[1_500_000]! ^= 1;
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    return true;
  };
  await assert.rejects(all.fetchAll(), { code: 'TUF_HASH' });
  assert.deepEqual(readdirSync(downloadsFolder(all.device)), []);
  all.server.intercept = () => false;
  await all.fetchAll();
});

test('another server is asked where the first has not got the archive', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  const other = await repositoryDevice(t, all.repository);
  writeSetting(all.device.database, 'servers', [...readSetting(all.device.database, 'servers')!, other.server.url]);
  all.server.intercept = (request, response) =>
    request.url!.includes('.tar.zst') && Boolean(response.writeHead(503).end());
  await all.fetchAll();
  assert.equal(targetRequests(other).length, 2);
});

test('where a server delivers something else, none of the others is asked: that is no failure of the line', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  const other = await repositoryDevice(t, all.repository);
  const servers = readSetting(all.device.database, 'servers')!;
  writeSetting(all.device.database, 'servers', [...servers, other.server.url]);
  all.server.intercept = (request, response) =>
    request.url!.includes('base.tar.zst') && Boolean(response.end(Buffer.alloc(all.base.bytes.length)));
  await assert.rejects(all.fetchAll(), { code: 'TUF_HASH' });
  assert.equal(targetRequests(other).length, 0);
});

test('a disk without room for everything is told before the first byte', async (t) => {
  const all = await setUp(t, { base: { ...archive(1000), unpacked: 2 ** 40 } });
  await all.confirm();
  await assert.rejects(all.fetchAll(), { code: 'DOWNLOAD_SPACE' });
  assert.deepEqual(targetRequests(all), []);
});

test('an archive that is no longer listed, or listed otherwise, is not fetched', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  const path = 'components/remote-support/2.0.0/any.base.tar.zst';
  const { files } = all.release;
  for (const bytes of [Buffer.concat([all.base.bytes.subarray(1), Buffer.from('x')]), Buffer.from('short'), null]) {
    if (bytes) files.set(path, bytes);
    else files.delete(path);
    all.repository.publish();
    await assert.rejects(all.fetchAll(), { code: 'DOWNLOAD_NOT_LISTED' });
  }
  files.set(path, all.base.bytes);
  all.repository.publish();
  await all.fetchAll();
});

test('a statement that is not the plan’s, or is gone, is not read', async (t) => {
  const all = await setUp(t);
  const refused = { code: 'PLAN_NOT_READY', message: /the statement of .* is not the one that the plan names/ };
  overwriteRows(all.device, 'release', { statement: Buffer.from('{}') });
  assert.throws(() => decideInstall(all.device, all.digest), refused);
  emptyTable(all.device, 'release');
  assert.throws(() => decideInstall(all.device, all.digest), refused);
});

test('a plan that nobody approved is not decided', async (t) => {
  const all = await setUp(t);
  setPlanState(all.device, all.digest, 'offered');
  assert.throws(() => decideInstall(all.device, all.digest), { code: 'PLAN_NOT_READY' });
  setPlanState(all.device, all.digest, 'approved');
  emptyTable(all.device, 'approval');
  assert.throws(() => decideInstall(all.device, all.digest), { code: 'PLAN_NOT_READY' });
});

test('what is not wanted any more goes', async (t) => {
  const all = await setUp(t);
  await all.confirm();
  await all.fetchAll();
  const stale = join(downloadsFolder(all.device), `${'a'.repeat(64)}.part`);
  writeFileSync(stale, 'of a refused capability');
  await all.fetchAll();
  assert.equal(existsSync(stale), false);
  assert.equal(readdirSync(downloadsFolder(all.device)).length, 2);
  pruneDownloads(all.device);
  assert.equal(readdirSync(downloadsFolder(all.device)).length, 0);
});

test('an approval that is taken back takes its downloads along, a plan that is void too', async (t) => {
  for (const end of ['decline', 'void']) {
    const all = await setUp(t);
    await all.confirm();
    await all.fetchAll();
    if (end === 'decline') {
      all.device.setTime('2026-11-23T12:01:00Z');
      const answer = {
        plan: all.digest,
        answer: 'decline',
        decisions: [],
        terms: [],
        language: 'en',
        shown: '',
      } as const;
      recordAnswer(all.device, signAnswer(all.device, answer, await signIn(all.device, 'kim', password)));
    } else {
      all.repository.channel.offers = [];
      all.repository.publish();
      const plan = async () => computeDevicePlan(all.device, await refreshTrust(all.device));
      assert.equal(await withLock(all.device, plan), null);
    }
    assert.deepEqual(readdirSync(downloadsFolder(all.device)), [], end);
  }
});

test('right before the switch an unreachable server stops nothing, a refusal does', async (t) => {
  const all = await setUp(t);
  const recheck = () => withLock(all.device, () => recheckBeforeSwitch(all.device, all.digest));
  await recheck();
  all.server.intercept = (_, response) => Boolean(response.writeHead(503).end());
  await recheck();
  all.server.intercept = (request, response) =>
    request.url!.endsWith('timestamp.json') && Boolean(response.writeHead(200).end('{}'));
  await assert.rejects(recheck(), { code: 'TUF_FORMAT' });
  all.server.intercept = () => false;
  await recheck();
});
