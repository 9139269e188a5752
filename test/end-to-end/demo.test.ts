/** `npm start -- --unattended`: the whole path with the three real programs, and what stays off and absent along it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

const root = resolve(import.meta.dirname, '../..');
const place = mkdtempSync(join(tmpdir(), 'countersign-whole-path-'));
const folder = join(place, 'demo');

interface Component {
  version: string;
  release: string;
  capabilities: Record<string, string>;
}
interface Summary {
  generation: number;
  components: Record<string, Component>;
  rolledBack: { component: string; version: string; code: string }[];
  refused: { component: string; version: string; code: string }[];
  approvals: number;
  auditVerified: boolean;
  verifiersAgreed: boolean;
}
let output = '';
let summary: { devices: Record<'device' | 'device-navios', Summary>; seconds: number };

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

function run(...args: string[]): Promise<Ran> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code) => done({ code: code ?? -1, stdout, stderr }));
  });
}

const device = (...args: string[]): Promise<Ran> => run('packages/client/bin/countersign-device.js', ...args);

before(async () => {
  const ran = await run('demo/main.ts', '--unattended', '--dir', folder);
  assert.equal(ran.code, 0, ran.stdout.slice(-4000) + ran.stderr);
  output = ran.stdout;
  summary = JSON.parse(output.trimEnd().split('\n').at(-1)!) as typeof summary;
});
after(() => rmSync(place, { recursive: true, force: true }));

test('both devices end where they should, and say so themselves', (t) => {
  const { device: ordinary, 'device-navios': navios } = summary.devices;
  const versions = (one: Summary): Record<string, string> =>
    Object.fromEntries(Object.entries(one.components).map(([name, { version }]) => [name, version]));
  const expected = {
    diagnostics: '1.0.0',
    'instrument-runtime': process.versions.node,
    'notification-client': '1.5.0',
    'remote-support': '2.0.0',
  };
  assert.deepEqual(versions(ordinary), expected);
  assert.deepEqual(versions(navios), expected);
  assert.deepEqual(ordinary.components['remote-support']!.capabilities, {
    'screen-view': 'granted',
    'remote-control': 'granted',
    'file-transfer': 'granted',
  });
  assert.deepEqual(navios.components['remote-support']!.capabilities, {
    'screen-view': 'granted',
    'remote-control': 'granted',
    'file-transfer': 'blocked',
  });
  assert.deepEqual(ordinary.rolledBack, [{ component: 'remote-support', version: '3.0.0', code: 'HEALTH_DEADLINE' }]);
  const revoked = [{ component: 'remote-support', version: '2.1.0', code: 'RELEASE_REVOKED' }];
  assert.deepEqual([ordinary.refused, navios.refused], [revoked, revoked]);
  assert.deepEqual([ordinary.approvals, navios.approvals], [5, 2]);
  for (const one of [ordinary, navios]) assert.ok(one.auditVerified && one.verifiersAgreed);
  t.diagnostic(`the demo took ${summary.seconds} s`);
});

test('every step shows the command that a person would type', () => {
  for (const command of [
    'countersign-server init',
    'countersign key generate',
    'countersign init',
    'countersign pack',
    'countersign sign',
    'countersign release add',
    'countersign channel offer',
    'countersign change sign',
    'countersign publish',
    'countersign revoke release',
    'countersign-device init',
    'countersign-device check',
    'countersign-device approve',
    'countersign-device install',
    'countersign-device capability request',
  ])
    assert.ok(output.includes(`$ npx ${command}`), command);
});

test('what was not available is nowhere on the device: no archive, no file of it, under any name', async () => {
  const archive = globSync('signer/artifacts/remote-support/*/*.cap-file-transfer.tar.zst', { cwd: folder });
  const files = globSync('components/remote-support/*/capabilities/file-transfer/**/*.*', { cwd: folder });
  assert.ok(archive.length >= 3 && files.length >= 3);
  const unwanted = new Map<string, string>();
  for (const name of [...archive, ...files]) unwanted.set(await digestOf(join(folder, name)), name);
  const found = async (name: string): Promise<string[]> => {
    const hits: string[] = [];
    for (const entry of globSync('**/*', { cwd: join(folder, name), withFileTypes: true }))
      if (entry.isFile()) hits.push(unwanted.get(await digestOf(join(entry.parentPath, entry.name))) ?? '');
    return hits.filter(Boolean);
  };
  assert.deepEqual(await found('device-navios'), []);
  // The same search finds it where it was granted.
  assert.ok((await found('device')).some((name) => name.includes('/2.0.0/')));
});

test('the started program says exactly what is granted, and a revoked grant closes within a second', async (t) => {
  const dir = join(folder, 'device');
  const node = `\${component:instrument-runtime}/bin/node${process.platform === 'win32' ? '.exe' : ''}`;
  const script = async (name: string): Promise<string> => {
    const ran = await device('exec', 'remote-support', '--dir', dir, '--', node, `bin/${name}.mjs`);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout;
  };
  await script('start');
  t.after(() => script('stop'));
  const opened = JSON.parse(await script('status')) as { open: string[] };
  assert.deepEqual(opened.open.sort(), ['file-transfer', 'remote-control', 'screen-view']);
  // The program is asked directly, so that starting a command does not count.
  const { port, token } = JSON.parse(
    readFileSync(
      globSync('data/remote-support/**/service.json', { cwd: dir }).map((name) => join(dir, name))[0]!,
      'utf8',
    ),
  ) as { port: number; token: string };
  const ask = async (): Promise<string[]> => {
    const answer = await fetch(`http://127.0.0.1:${port}/status`, { headers: { authorization: `Bearer ${token}` } });
    return ((await answer.json()) as { open: string[] }).open;
  };
  const revoked = await device('capability', 'revoke', 'remote-support', 'file-transfer', '--dir', dir);
  const told = performance.now();
  assert.equal(revoked.code, 0, revoked.stderr);
  let open = await ask();
  while (open.includes('file-transfer') && performance.now() - told < 5000) {
    await pause(20);
    open = await ask();
  }
  const took = performance.now() - told;
  assert.deepEqual(open.sort(), ['remote-control', 'screen-view']);
  assert.ok(took < 1000, `it took ${Math.round(took)} ms`);
  const { components } = JSON.parse((await device('status', '--json', '--dir', dir)).stdout) as Summary;
  assert.equal(components['remote-support']!.capabilities['file-transfer'], 'revoked');
});

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}
