/** Row 11: the disk is full at any step of an update, or files are in use: a coded error, the old state, and it goes on by itself. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeOf } from '@countersign/protocol';
import { withLock } from '../../packages/client/src/device/device.ts';
import { currentGeneration } from '../../packages/client/src/generations/generations.ts';
import { recover } from '../../packages/client/src/installing/recovery.ts';
import { poll } from '../../packages/client/src/service/polling.ts';
import { installedApp } from '../support/installed-app.ts';
import { keepInUse, mountable, smallDisk } from '../support/small-disk.ts';

const files = { 'share/large': randomBytes(400_000).toString('hex') };
const full = /^(DISK_FULL|ARCHIVE_DISK_FULL|DOWNLOAD_SPACE)$/;

/** What the update is doing when the disk becomes full. */
const steps = ['poll', 'approval', 'download', 'unpack', 'stop', 'switch', 'start', 'health', 'commit'] as const;

test(
  'row 11: a disk that is full at any step of an update stops it with a code, and nothing is lost',
  mountable,
  async (t) => {
    const disk = smallDisk(t, 128);
    const { TMPDIR } = process.env;
    process.env.TMPDIR = disk.folder;
    const scene = await installedApp(t).finally(() => {
      if (TMPDIR === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = TMPDIR;
    });
    const { device, publish, approve, install, runs } = scene;
    let refused = 0;
    for (const [index, step] of steps.entries())
      await t.test(`while it is at ${step}`, async (t) => {
        const version = `2.0.${index}`;
        const before = currentGeneration(device)!.components[0]!.version;
        await publish(version, { files });
        const attempt = async (): Promise<string> => {
          if (step === 'poll') disk.fill();
          await withLock(device, () => poll(device));
          if (step === 'approval') disk.fill();
          await approve();
          return (await install({ onProgress: (progress) => void (progress.step === step && disk.fill()) })).outcome;
        };
        const ended = await attempt().catch((error: unknown) => {
          assert.match(String(codeOf(error)), full, String((error as Error).stack));
          assert.ok((error as { hint?: string }).hint);
          return codeOf(error)!;
        });
        t.diagnostic(ended);
        if (full.test(ended)) refused++;
        disk.free();
        await withLock(device, () => recover(device));
        const now = currentGeneration(device)!.components[0]!.version;
        assert.ok(now === before || now === version, now);
        await runs(now);
        // It goes on without a person, except that a signature that could not be written is asked again.
        if (now === version) return;
        await withLock(device, () => poll(device));
        if (step === 'poll' || step === 'approval') await approve();
        assert.equal((await install()).outcome, 'committed');
        await runs(version);
      });
    assert.ok(refused >= 4, `${refused} refusals`);
  },
);

test('row 11: a folder in use is no reason not to update, and goes once it is free', mountable, async (t) => {
  const { device, publish, approve, install, runs } = await installedApp(t);
  const store = join(device.directory, 'store');
  const [old] = readdirSync(store);
  const release = keepInUse(t, join(store, old!, 'bin'));
  for (const version of ['2.0.0', '3.0.0', '4.0.0']) {
    await publish(version);
    await approve();
    assert.equal((await install()).outcome, 'committed');
    await runs(version);
  }
  assert.ok(existsSync(join(store, old!)));
  release();
  await withLock(device, () => recover(device));
  assert.equal(existsSync(join(store, old!)), false);
  assert.equal(readdirSync(store).length, 2);
  await runs('4.0.0');
});
