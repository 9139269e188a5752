/** How commands start: what they load, and that each knows its version. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { deviceProgram } from '../../packages/client/src/program.ts';
import { runCommand } from '../../packages/protocol/src/node/terminal.ts';
import { serverProgram } from '../../packages/repo-server/src/program.ts';
import { signerProgram } from '../../packages/signer/src/program.ts';
import { DeviceProgram } from '../support/device-program.ts';
import { PublishedRepository } from '../support/published-repository.ts';

const root = resolve(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const programs = {
  'signer/bin/countersign.js': signerProgram,
  'repo-server/bin/countersign-server.js': serverProgram,
  'client/bin/countersign-device.js': deviceProgram,
} as const;
const list = pathToFileURL(join(root, 'test/support/list-modules.mjs')).href;

interface Started {
  readonly stdout: string;
  readonly packages: readonly string[];
}

/** Runs a program to its end and gives the packages from npm that it loaded. */
const start = (file: string, ...args: string[]): Promise<Started> =>
  new Promise((done, failed) => {
    const command = ['--import', list, join(root, 'packages', file), ...args];
    execFile(process.execPath, command, (error, stdout, stderr) => {
      const packages = /^packages:(.*)$/m.exec(stderr)?.[1];
      if (error || packages === undefined) failed(error ?? new Error(stderr));
      else done({ stdout, packages: JSON.parse(packages) as string[] });
    });
  });

for (const file of Object.keys(programs))
  test(`${file} says its version and its commands without loading what they need`, async () => {
    const said = await start(file, '--version');
    assert.equal(said.stdout, `${version}\n`);
    const help = await start(file, '--help');
    assert.match(help.stdout, /Commands:/);
    for (const { packages } of [said, help]) assert.deepEqual(packages, ['commander', 'picocolors']);
  });

test('each command of each program says the version, and does nothing else', async () => {
  for (const make of Object.values(programs)) {
    const paths = pathsOf(make());
    assert.ok(paths.length > 5);
    for (const path of paths) {
      let said = '';
      const stdout = { write: (text: string) => (said += text) };
      assert.equal(await runCommand(make(), [...path, '--version'], { stdout, stderr: stdout }), 0);
      assert.equal(said, `${version}\n`, path.join(' '));
    }
  }
});

function pathsOf(command: Command): string[][] {
  return [[], ...command.commands.flatMap((sub) => pathsOf(sub).map((path) => [sub.name(), ...path]))];
}

test('a device says its status without the parts that connect, unpack or verify by tuf-js', async (t) => {
  const device = new DeviceProgram(new PublishedRepository().publish());
  t.after(() => rmSync(device.scratch, { recursive: true, force: true }));
  await device.init('http://127.0.0.1:9/');
  const { packages } = await start('client/bin/countersign-device.js', 'status', '--dir', device.directory);
  assert.deepEqual(
    packages.filter((name) => ['undici', 'tar', 'tuf-js', '@tufjs/models', '@sigstore/sign'].includes(name)),
    [],
  );
  assert.ok(packages.includes('typebox'), 'the list shows what was loaded');
});
