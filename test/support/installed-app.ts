/** A device that runs the component `app` 1.0.0, installed over a socket, with ways to publish and install the next version. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { withLock } from '../../packages/client/src/device/device.ts';
import { currentGeneration } from '../../packages/client/src/generations/generations.ts';
import { runHook } from '../../packages/client/src/installing/hooks.ts';
import {
  installApproved,
  type InstallOptions,
  type InstallOutcome,
} from '../../packages/client/src/installing/install-flow.ts';
import { poll } from '../../packages/client/src/service/polling.ts';
import { addKit } from './device-program.ts';
import { PublishedRepository, type RepositoryServer } from './published-repository.ts';
import type { ReleaseFiles, TestArchive } from './release-files.ts';
import type { KitOptions } from './release-kit.ts';
import { repositoryDevice } from './repository-device.ts';
import type { ScratchDevice } from './scratch-device.ts';
import { addTechnician, approveOpenPlan } from './technician.ts';

export interface InstalledApp {
  readonly repository: PublishedRepository;
  readonly device: ScratchDevice;
  readonly server: RepositoryServer;
  /** Publishes a version of `app`, with another base archive if one is given; then the device polls and a technician approves. */
  publish(version: string, more?: Partial<KitOptions> & { archive?: TestArchive }): Promise<ReleaseFiles>;
  approve(): Promise<void>;
  install(options?: InstallOptions): Promise<InstallOutcome>;
  /** Checks that this version runs, is healthy and says so itself. */
  runs(version: string): Promise<void>;
}

export async function installedApp(t: TestContext): Promise<InstalledApp> {
  const repository = new PublishedRepository();
  const publish: InstalledApp['publish'] = async (version, { archive, ...more } = {}) => {
    const release = await addKit(repository, { component: 'app', version, ...more }, archive);
    repository.channel.offers = [];
    repository.offer(release);
    repository.publish();
    return release;
  };
  await publish('1.0.0');
  const { device, server } = await repositoryDevice(t, repository);
  await addTechnician(device);
  const approve = async (): Promise<void> => {
    await withLock(device, () => poll(device));
    await approveOpenPlan(device);
  };
  const install = (options?: InstallOptions) => withLock(device, () => installApproved(device, options));
  const runs = async (version: string): Promise<void> => {
    const generation = currentGeneration(device)!;
    assert.deepEqual(
      generation.components.map((one) => [one.component, one.version]),
      [['app', version]],
    );
    await runHook(device, generation, 'app', 'health');
    assert.equal(readFileSync(join(device.directory, 'data', 'app', 'running'), 'utf8').trim(), version);
  };
  await approve();
  assert.equal((await install()).outcome, 'committed');
  await runs('1.0.0');
  return { repository, device, server, publish, approve, install, runs };
}
