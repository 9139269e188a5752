/** What a component's program is given when it starts: what it needs, and nothing of what the service holds. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { acceptPolicy, kitFolder, makeKit, prepare } from '../../../../test/support/release-kit.ts';
import { scratchDevice, type ScratchDevice } from '../../../../test/support/scratch-device.ts';
import { withLock } from '../device/device.ts';
import { currentGeneration } from '../generations/generations.ts';
import { runHook } from './hooks.ts';
import { install } from './installer.ts';

const linux = { skip: process.platform !== 'linux' && 'the system tells the environment of a process on Linux only' };
/** As a service may have them: secrets, and words that change what a program loads or finds. */
const held = {
  COUNTERSIGN_PASSWORD: 'correct horse',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI',
  HTTPS_PROXY: 'http://user:word@proxy.example:3128',
  NODE_OPTIONS: '--no-warnings',
  LD_LIBRARY_PATH: '/nowhere',
} as const;
const outside = new Map(Object.keys(held).map((name) => [name, process.env[name]]));
let device: ScratchDevice;

/** Keeps the environment that the program was started with, before its shell adds to it. */
const keep = (name: string): string =>
  `while IFS= read -r line; do :; done < "$COUNTERSIGN_GRANTS"\n/bin/cat "/proc/$$/environ" > "$COUNTERSIGN_DATA/${name}"\n`;
const kept = (component: string, name: string): Record<string, string> => {
  const text = readFileSync(join(device.directory, 'data', component, name), 'utf8');
  const lines = text.split('\0').filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
};

before(async () => {
  if (linux.skip) return;
  Object.assign(process.env, held);
  device = scratchDevice();
  acceptPolicy(device);
  const folder = kitFolder();
  const scripts = { stop: keep('stop'), start: keep('start'), health: keep('health') };
  const kit = (version: string) => makeKit(folder, { component: 'app', version, scripts });
  const put = async (...wishes: Parameters<typeof prepare>[1]): Promise<void> => {
    assert.equal((await withLock(device, () => install(device, prepare(device, wishes)))).outcome, 'committed');
  };
  const files = { 'bin/keep': `#!/bin/sh\n${keep('tool')}` };
  await put(
    { kit: await kit('1.0.0') },
    { kit: await makeKit(folder, { component: 'base', version: '1.0.0', files }) },
  );
  await put({ kit: await kit('2.0.0') });
  await put({
    kit: await makeKit(folder, {
      component: 'user',
      version: '1.0.0',
      requires: { base: '*' },
      hooks: { health: [['${component:base}/bin/keep'], 2] },
    }),
  });
});
after(() => {
  for (const [name, value] of outside)
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
});

/** Exactly this; Windows programs would not start without SystemRoot. */
const expected = (component: string): Record<string, string> => ({
  COUNTERSIGN_COMPONENT: component,
  COUNTERSIGN_GRANTS: join(device.directory, 'grants', `${component}.json`),
  COUNTERSIGN_DATA: join(device.directory, 'data', component),
});

for (const hook of ['stop', 'start', 'health'] as const)
  test(`the ${hook} hook gets its component's name and folders, and nothing that the service holds`, linux, () => {
    assert.deepEqual(kept('app', hook), expected('app'));
  });

test('a program of a required component gets the environment of who calls it', linux, () => {
  assert.deepEqual(kept('user', 'tool'), expected('user'));
});

test('what the environment names is there, and is the component’s own', linux, async () => {
  const { COUNTERSIGN_GRANTS, COUNTERSIGN_DATA } = kept('app', 'health');
  const grants = JSON.parse(readFileSync(COUNTERSIGN_GRANTS!, 'utf8')) as { version: string };
  assert.equal(grants.version, '2.0.0');
  assert.ok(existsSync(join(COUNTERSIGN_DATA!, 'log')));
  await runHook(device, currentGeneration(device)!, 'app', 'health');
});
