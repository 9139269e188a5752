/**
 * A device that trusts a published repository and has its plan, with checks that an attack did not harm it. The attack is refused
 * with its code, the device keeps exactly what it had, and after the attack the next honest poll succeeds.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { codeOf } from '@countersign/protocol';
import { computeDevicePlan, type DevicePlan } from '../../packages/client/src/consent/planning.ts';
import { withLock } from '../../packages/client/src/device/device.ts';
import { openPlan } from '../../packages/client/src/generations/plans.ts';
import { lastDocuments, refreshTrust, type TrustView } from '../../packages/client/src/trust/refresh.ts';
import { listRefusals } from '../../packages/client/src/trust/refusals.ts';
import { PublishedRepository, type RepositoryOptions, type RepositoryServer } from './published-repository.ts';
import { repositoryDevice } from './repository-device.ts';
import type { ScratchDevice } from './scratch-device.ts';

export interface AttackScene {
  readonly repository: PublishedRepository;
  readonly device: ScratchDevice;
  readonly server: RepositoryServer;
  /** Poll and plan, as the service does. */
  check(): Promise<{ view: TrustView; plan: DevicePlan | null }>;
  /** Saves everything that the repository has now; the returned function restores it. */
  save(): () => void;
  /** The whole attempt is refused with the code and changes nothing. */
  refused(code: string): Promise<void>;
  /** The attempt goes on without the component, whose release is refused with the code. */
  refusedRelease(component: string, code: string): Promise<void>;
  /** What the component's open plan step leads to; null without one. */
  offered(component: string): string | null;
}

export interface SceneOptions {
  readonly repository?: RepositoryOptions;
  readonly settings?: Record<string, unknown>;
  readonly prepare?: (repository: PublishedRepository) => void;
}

/** Publishes diagnostics 1.0.0 and 1.1.0, polls between the two, and polls again: the unmodified request succeeds. */
export async function attackScene(t: TestContext, options: SceneOptions = {}): Promise<AttackScene> {
  const repository = new PublishedRepository(options.repository);
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.0.0' }));
  options.prepare?.(repository);
  repository.publish();
  const { device, server } = await repositoryDevice(t, repository, options.settings);
  const check = async () =>
    withLock(device, async () => {
      const view = await refreshTrust(device);
      return { view, plan: await computeDevicePlan(device, view) };
    });
  const offered = (component: string): string | null =>
    openPlan(device)?.plan.steps.find((step) => step.component === component)?.to?.version ?? null;
  const state = (): unknown => [lastDocuments(device), openPlan(device)?.digest];
  await check();
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.1.0' }));
  repository.publish();
  await check();
  assert.equal(offered('diagnostics'), '1.1.0');
  return {
    repository,
    device,
    server,
    check,
    offered,
    save: () => {
      const files = new Map(repository.files);
      return () => {
        repository.files.clear();
        for (const [name, bytes] of files) repository.files.set(name, bytes);
      };
    },
    refused: async (code) => {
      const before = state();
      await assert.rejects(check(), (error) => {
        assert.equal(codeOf(error), code, String(error));
        return true;
      });
      assert.deepEqual(state(), before);
    },
    refusedRelease: async (component, code) => {
      await check();
      const refused = listRefusals(device).filter((one) => one.component === component);
      assert.deepEqual([...new Set(refused.map((one) => one.code))], [code]);
      assert.equal(offered(component), null);
    },
  };
}
