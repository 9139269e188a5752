/** Runs the three that judge a release: a device over a socket, the gate of a real server, and `countersign verify`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { codeOf, isCoded, messageOf } from '@countersign/protocol';
import { computeDevicePlan } from '../../packages/client/src/consent/planning.ts';
import { withLock } from '../../packages/client/src/device/device.ts';
import { decideInstall } from '../../packages/client/src/installing/decided-install.ts';
import { fetchArchives } from '../../packages/client/src/installing/downloads.ts';
import { confirmByBothVerifiers } from '../../packages/client/src/installing/verifiers.ts';
import { refreshTrust } from '../../packages/client/src/trust/refresh.ts';
import { listRefusals } from '../../packages/client/src/trust/refusals.ts';
import { verifyRepository } from '../../packages/signer/src/publishing/verification.ts';
import { serveRepository, type PublishedRepository } from './published-repository.ts';
import { publish, startTestServer } from './publishing.ts';
import { repositoryDevice } from './repository-device.ts';
import { addTechnician, approveOpenPlan } from './technician.ts';

/** `good`, or the code. The repository offers one release at most. */
export type Judge = (t: TestContext, repository: PublishedRepository) => Promise<string>;

/** A new device: polls, plans, and downloads everything after a technician has granted everything. */
export const byDevice: Judge = async (t, repository) => {
  const { device } = await repositoryDevice(t, repository);
  try {
    const plan = await withLock(device, async () => computeDevicePlan(device, await refreshTrust(device)));
    if (plan === null) {
      return listRefusals(device)[0]?.code ?? 'nothing offered';
    }
    await addTechnician(device);
    await approveOpenPlan(device);
    await withLock(device, async () => {
      const view = await refreshTrust(device);
      const decided = decideInstall(device, plan.digest);
      await confirmByBothVerifiers(device, view, decided);
      await fetchArchives(device, view, decided);
    });
    return 'good';
  } catch (error) {
    return codeOf(error) ?? messageOf(error);
  }
};

/** An empty server, to which the whole repository is published. */
export const byGate: Judge = async (t, repository) => {
  const { status, body } = await publish(await startTestServer(t, repository), repository);
  if (status === 200) return 'good';
  return /^a device would refuse it: ([A-Z_]+): /.exec(body.error!.message)?.[1] ?? body.error!.code;
};

const verified = async (place: string, { shipped, time }: PublishedRepository): Promise<string> => {
  try {
    const { offers } = await verifyRepository(place, shipped, time);
    return offers[0]?.verdict ?? 'nothing offered';
  } catch (error) {
    return (isCoded(error) ? (error.context.code as string | undefined) : undefined) ?? codeOf(error) ?? String(error);
  }
};

export const byVerify: Judge = async (t, repository) =>
  verified((await serveRepository(t, repository)).url, repository);

export const byVerifyOfFolder: Judge = async (t, repository) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-verify-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, bytes] of repository.files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  return verified(folder, repository);
};
