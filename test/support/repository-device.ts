/** A scratch device, set up for a published repository behind a socket. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { withLock } from '../../packages/client/src/device/device.ts';
import { closeConnections, refreshTrust, type TrustView } from '../../packages/client/src/trust/refresh.ts';
import { serveRepository, type PublishedRepository, type RepositoryServer } from './published-repository.ts';
import { scratchDevice, type ScratchDevice } from './scratch-device.ts';

export interface RepositoryDevice {
  readonly device: ScratchDevice;
  readonly server: RepositoryServer;
  /** One poll under the device lock. */
  poll(): Promise<TrustView>;
}

/** Publishes nothing itself: `repository.publish()` comes first. */
export async function repositoryDevice(
  t: TestContext,
  repository: PublishedRepository,
  settings: Record<string, unknown> = {},
): Promise<RepositoryDevice> {
  const server = await serveRepository(t, repository);
  const { root, codesign, devices } = repository.shipped;
  const device = scratchDevice(undefined, {
    model: 'Cytometer 5',
    servers: [server.url],
    hosts: ['127.0.0.1'],
    shipped: { root: sha256(root), codesign: sha256(codesign), devices: sha256(devices) },
    ...settings,
  });
  const folder = join(device.directory, 'package');
  mkdirSync(folder);
  writeFileSync(join(folder, 'root.json'), root);
  writeFileSync(join(folder, 'codesign.jsonl'), codesign);
  writeFileSync(join(folder, 'devices.jsonl'), devices);
  t.after(() => closeConnections(device));
  return { device, server, poll: () => withLock(device, () => refreshTrust(device)) };
}
