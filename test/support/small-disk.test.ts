/** A small disk is taken down however its test ends; only killing by SIGKILL leaves it to whoever killed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { mountable } from './small-disk.ts';

const module = pathToFileURL(join(import.meta.dirname, 'small-disk.ts')).href;
const isMounted = (folder: string): boolean => readFileSync('/proc/mounts', 'utf8').includes(` ${folder} `);

/** Mounts in a process of its own whose test never ends by itself; its folder, and what ends it. */
async function mountElsewhere(then: string) {
  const script = `
    import { keepInUse, smallDisk } from '${module}';
    const t = { after() {} };
    const { folder } = smallDisk(t, 1);
    keepInUse(t, folder + '/held');
    process.stdout.write(folder);
    ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(child, 'close');
  const [folder] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, folder: String(folder), ended };
}

const wait = 'process.stdin.resume();';
for (const [what, then, signal] of [
  ['ends by itself', '', undefined],
  ['fails', 'throw new Error("failed");', undefined],
  ['is told to stop', wait, 'SIGTERM'],
  ['is interrupted', wait, 'SIGINT'],
  ['loses its terminal', wait, 'SIGHUP'],
] as const)
  test(`a disk goes with a process that ${what}`, mountable, async () => {
    const { child, folder, ended } = await mountElsewhere(then);
    if (signal !== undefined) {
      assert.ok(isMounted(folder));
      child.kill(signal);
    }
    const [, by] = (await ended) as [number | null, NodeJS.Signals | null];
    assert.equal(by, signal ?? null, 'it ends as it would have without the disk');
    assert.equal(isMounted(folder), false);
    assert.equal(isMounted(`${folder}/held`), false);
    rmSync(folder, { recursive: true });
  });
