/** The fixture components are real: each one runs, answers, obeys its grants at once, and ends. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { isSafeText } from '@countersign/protocol';
import { bundledNode, writeComponents } from '../../fixtures/component-folders.ts';
import { FixtureProgram, isRunning } from '../support/fixture-program.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-fixtures-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const components = join(scratch, 'components');
writeComponents(components);
let counter = 0;

function program(t: TestContext, name: string, version: string, place = join(scratch, `place-${counter++}`)) {
  mkdirSync(place, { recursive: true });
  const made = new FixtureProgram(join(components, name, version), place);
  t.after(() => made.end());
  return made;
}

/** Polls until it holds: only for processes that end by themselves. */
async function until(condition: () => boolean, milliseconds: number): Promise<void> {
  for (const end = Date.now() + milliseconds; !condition();) {
    assert.ok(Date.now() < end, 'in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function start(made: FixtureProgram): Promise<void> {
  const { code, output } = await made.hook('start');
  assert.equal(code, 0, output);
}

test('two generations give the same files with the same bytes', () => {
  const again = join(scratch, 'again');
  writeComponents(again);
  const list = (folder: string) =>
    globSync('**/*', { cwd: folder })
      .filter((name) => statSync(join(folder, name)).isFile())
      .sort();
  assert.ok(list(components).length > 150);
  assert.deepEqual(list(again), list(components));
  for (const name of list(again))
    assert.ok(readFileSync(join(again, name)).equals(readFileSync(join(components, name))), name);
  rmSync(again, { recursive: true });
});

test('only what is named is written, for the platform that is named', () => {
  const output = join(scratch, 'some');
  const folders = writeComponents(output, { only: ['remote-support@2.1.0'], platform: 'win32-x64' });
  assert.deepEqual(folders, [join(output, 'remote-support', '2.1.0')]);
  assert.deepEqual(globSync('*/*', { cwd: output }), [join('remote-support', '2.1.0')]);
  const manifest = readFileSync(join(folders[0]!, 'component.json'), 'utf8');
  assert.match(manifest, /"platform": "win32-x64"/);
  assert.match(manifest, /bin\/node\.exe"/);
  assert.throws(
    () => writeComponents(output, { only: ['remote-support@9.9.9'] }),
    /there are .*remote-support@2\.1\.0/,
  );
});

test('texts are there in English and Korean and have no unsafe character', () => {
  const folders = globSync('*/*', { cwd: components });
  assert.ok(folders.length >= 9);
  for (const folder of folders) {
    const texts = globSync('{notes.*.md,terms/*.md}', { cwd: join(components, folder) });
    assert.ok(texts.includes('notes.en.md') && texts.includes('notes.ko.md'), folder);
    for (const name of texts) assert.ok(isSafeText(readFileSync(join(components, folder, name), 'utf8')), name);
  }
});

test('the runtime carries the real executable', () => {
  const node = bundledNode();
  const file = globSync(`instrument-runtime/${node.version}/base/bin/*`, { cwd: components }).map((name) =>
    join(components, name),
  );
  assert.equal(file.length, 1);
  assert.ok(statSync(file[0]!).size > 100_000_000);
  assert.equal(execFileSync(file[0]!, ['--version'], { encoding: 'utf8' }).trim(), `v${node.version}`);
});

const services = [
  ['remote-support', '1.0.0'],
  ['remote-support', '2.0.0'],
  ['remote-support', '2.0.1'],
  ['remote-support', '2.1.0'],
  ['notification-client', '1.4.0'],
  ['notification-client', '1.5.0'],
  ['diagnostics', '1.0.0'],
] as const;

for (const [name, version] of services)
  test(`${name} ${version} starts, is healthy, reports its grants and stops`, async (t) => {
    const made = program(t, name, version);
    assert.equal((await made.hook('health')).code, 1, 'not healthy before it starts');
    const declared = made.manifest.capabilities.map(({ id }) => id);
    made.grant(...declared.map((id) => ({ id })), { id: 'not-declared' });
    await start(made);
    const { pid } = made.state();
    await start(made);
    assert.equal(made.state().pid, pid, 'starting again changes nothing');
    assert.equal((await made.hook('health')).code, 0);
    const status = await made.run(['bin/status.mjs']);
    assert.equal(status.code, 0, status.output);
    const said = JSON.parse(status.output) as Record<string, unknown>;
    assert.deepEqual([said.component, said.version, said.open], [name, version, declared]);
    assert.equal((await made.hook('stop')).code, 0);
    assert.equal(isRunning(pid), false);
    assert.equal((await made.hook('health')).code, 1, 'not healthy once stopped');
    assert.equal((await made.hook('stop')).code, 0, 'stopping again is a success');
  });

test('remote-support 3.0.0 starts and then honestly says that it is not healthy', async (t) => {
  const made = program(t, 'remote-support', '3.0.0');
  await start(made);
  const { code, output } = await made.hook('health');
  assert.equal(code, 1);
  assert.match(output, /no picture can be taken of the screen: ERR_MODULE_NOT_FOUND/);
});

test('without a grants file, or with one that makes no sense, everything is closed', async (t) => {
  const made = program(t, 'remote-support', '2.0.0');
  await start(made);
  assert.deepEqual(await made.open(), []);
  assert.equal((await made.ask('/screen')).status, 403);
  for (const text of ['', '{', '[]', '{"component":"diagnostics","grants":[{"id":"screen-view"}]}', '{"grants":7}']) {
    writeFileSync(made.grantsFile, text);
    assert.deepEqual(await made.open(), []);
  }
  made.grant({ id: 'screen-view' });
  assert.deepEqual(await made.open(), ['screen-view']);
  assert.equal((await made.ask('/screen')).status, 200);
});

test('a revoked capability is closed at once and its running session within a second', async (t) => {
  const made = program(t, 'remote-support', '1.0.0');
  made.grant({ id: 'screen-view' }, { id: 'remote-control' });
  await start(made);
  const click = { method: 'POST', body: { kind: 'pointer', technician: 'night shift' } };
  assert.equal((await made.ask('/control', click)).status, 200);
  const stream = await made.fetch('/screen/stream');
  const reader = stream.body!.getReader();
  assert.equal((await reader.read()).done, false);
  made.grant({ id: 'remote-control' });
  const revoked = Date.now();
  assert.equal((await made.ask('/screen')).status, 403);
  assert.deepEqual(await made.open(), ['remote-control']);
  await assert.rejects(async () => {
    while (!(await reader.read()).done);
    throw new Error('ended');
  });
  assert.ok(Date.now() - revoked < 1000, `${Date.now() - revoked} ms`);
  assert.equal((await made.ask('/control', click)).status, 200, 'the other capability stays open');
});

test('file transfer is loaded from the granted folder only, and keeps to its scope', async (t) => {
  const made = program(t, 'remote-support', '2.0.0');
  mkdirSync(join(made.dataFolder, 'areas', 'logs'), { recursive: true });
  writeFileSync(join(made.dataFolder, 'areas', 'logs', 'run.log'), 'a log line\n');
  await start(made);
  const scope = { direction: ['download'], area: ['logs'] };
  made.grant({ id: 'file-transfer', scope });
  assert.equal((await made.ask('/files?area=logs')).status, 403, 'granted, but no files are named');
  made.grant({ id: 'file-transfer', scope, path: made.capabilityFolder('file-transfer') });
  assert.deepEqual((await made.ask('/files?area=logs')).body, { area: 'logs', files: ['run.log'] });
  const { body } = await made.ask('/files?area=logs&name=run.log');
  assert.equal(Buffer.from(body.content as string, 'base64').toString(), 'a log line\n');
  assert.equal((await made.ask('/files?area=exports')).status, 403);
  assert.equal((await made.ask('/files?area=logs&name=../service.json')).status, 500);
  assert.equal((await made.ask('/files?area=logs&name=x', { method: 'POST', body: { content: 'eA==' } })).status, 403);
  made.grant();
  assert.equal((await made.ask('/files?area=logs')).status, 403);
});

test('the wider file transfer of 2.1.0 also uploads, within its scope', async (t) => {
  const made = program(t, 'remote-support', '2.1.0');
  await start(made);
  const path = made.capabilityFolder('file-transfer');
  const upload = { method: 'POST', body: { content: Buffer.from('protocol').toString('base64') } };
  made.grant({ id: 'file-transfer', scope: { direction: ['download'], area: ['logs', 'exports'] }, path });
  assert.equal((await made.ask('/files?area=exports&name=p.txt', upload)).status, 403, 'the old direction');
  const { scope } = made.manifest.capabilities.find(({ id }) => id === 'file-transfer')!;
  made.grant({ id: 'file-transfer', scope, path });
  assert.equal((await made.ask('/files?area=exports&name=p.txt', upload)).status, 200);
  assert.equal(readFileSync(join(made.dataFolder, 'areas', 'exports', 'p.txt'), 'utf8'), 'protocol');
});

test('2.0.1 keeps a name from forging a line of the session journal, 2.0.0 does not', async (t) => {
  for (const [version, lines] of [
    ['2.0.0', 2],
    ['2.0.1', 1],
  ] as const) {
    const made = program(t, 'remote-support', version);
    made.grant({ id: 'remote-control' });
    await start(made);
    await made.ask('/control', { method: 'POST', body: { kind: 'key', technician: 'x\nforged' } });
    assert.equal(readFileSync(join(made.dataFolder, 'sessions.log'), 'utf8').trim().split('\n').length, lines, version);
  }
});

test('a new version takes over from the old one, with its data', async (t) => {
  const place = join(scratch, `place-${counter++}`);
  const old = program(t, 'notification-client', '1.4.0', place);
  await start(old);
  const raised = await old.ask('/alerts', {
    method: 'POST',
    body: { severity: 'warning', source: 'NaviosEX', text: 'sheath low' },
  });
  assert.equal(raised.status, 201);
  const { pid } = old.state();
  const next = program(t, 'notification-client', '1.5.0', place);
  await start(next);
  assert.equal(isRunning(pid), false);
  const { alerts } = (await next.ask('/alerts')).body as { alerts: { id: string; text: string }[] };
  assert.deepEqual(
    alerts.map(({ text }) => text),
    ['sheath low'],
  );
  assert.equal((await next.ask(`/alerts/${alerts[0]!.id}`, { method: 'DELETE' })).status, 200);
  assert.deepEqual((await next.ask('/alerts')).body, { alerts: [] });
});

test('an alert reaches whoever watches', async (t) => {
  const made = program(t, 'notification-client', '1.5.0');
  await start(made);
  const reader = (await made.fetch('/watch')).body!.getReader();
  await made.ask('/alerts', {
    method: 'POST',
    body: { severity: 'critical', source: 'DxFLEX', text: 'laser off', language: 'en' },
  });
  const { value } = await reader.read();
  assert.match(Buffer.from(value!).toString(), /laser off/);
  await reader.cancel();
  assert.equal((await made.ask('/alerts', { method: 'POST', body: { severity: 'loud' } })).status, 400);
});

test('diagnostics reports numbers of the system', async (t) => {
  const made = program(t, 'diagnostics', '1.0.0');
  await start(made);
  const { body } = await made.ask('/report');
  assert.ok((body.disk as { freeBytes: number }).freeBytes > 0);
});

test('only the owner of the data folder may ask or stop', async (t) => {
  const made = program(t, 'diagnostics', '1.0.0');
  await start(made);
  for (const [path, method] of [
    ['/status', 'GET'],
    ['/health', 'GET'],
    ['/report', 'GET'],
    ['/stop', 'POST'],
  ] as const)
    assert.equal((await made.ask(path, { method, token: 'f'.repeat(64) })).status, 401);
  assert.equal((await made.hook('health')).code, 0);
});

test('a state file that another program now stands behind stops nobody', async (t) => {
  const made = program(t, 'diagnostics', '1.0.0');
  let stops = 0;
  const stranger = createServer((request, response) => {
    if (request.url === '/stop') stops++;
    response.end('{"fingerprint":"other"}');
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  t.after(() => stranger.close());
  const { port } = stranger.address() as AddressInfo;
  const file = join(made.dataFolder, 'service.json');
  writeFileSync(file, JSON.stringify({ pid: process.pid, port, token: 'old' }));
  assert.equal((await made.hook('health')).code, 1);
  assert.equal((await made.hook('stop')).code, 0);
  assert.equal(stops, 0);
  writeFileSync(file, '{ torn');
  await start(made);
  assert.equal((await made.hook('health')).code, 0);
});

for (const [what, act] of [
  ['its data folder is gone', (made: FixtureProgram) => rmSync(made.dataFolder, { recursive: true, force: true })],
  ['it finds a file named stop', (made: FixtureProgram) => writeFileSync(join(made.dataFolder, 'stop'), '')],
  [
    'another instance noted itself',
    (made: FixtureProgram) => writeFileSync(join(made.dataFolder, 'service.json'), '{}'),
  ],
] as const)
  test(`a service ends by itself when ${what}`, async (t) => {
    const made = program(t, 'diagnostics', '1.0.0');
    await start(made);
    const { pid } = made.state();
    act(made);
    await until(() => !isRunning(pid), 3000);
  });
