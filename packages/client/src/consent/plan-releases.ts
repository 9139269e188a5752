/** Reads what the releases of a plan say about themselves, from the statements and texts that were judged when it was computed. */
import { readReleaseTexts, statementFormat, type Manifest, type Plan, type ReleaseTexts } from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import { currentGeneration } from '../generations/generations.ts';
import { openPlan, plansBeginning, readPlan, type StoredPlan } from '../generations/plans.ts';
import { keptRelease } from '../trust/kept-releases.ts';
import type { PlanReleases } from './plan-text.ts';

/** Manifests and texts by component. A component that the plan removes is described by its running release. */
export function planReleases(device: Device, plan: Plan, language: string): PlanReleases {
  const manifests = new Map<string, Manifest>();
  const texts = new Map<string, ReleaseTexts>();
  const running = currentGeneration(device)?.components ?? [];
  for (const { component, to } of plan.steps) {
    const kept = to && keptRelease(device, to.release);
    if (kept) {
      const statement = statementFormat.parse(kept.statement, `the statement of ${component}`);
      manifests.set(component, statement.predicate.manifest);
      texts.set(component, readReleaseTexts(statement, kept.texts));
      continue;
    }
    const installed = running.find((one) => one.component === component);
    if (installed) manifests.set(component, installed.manifest);
  }
  return { manifests, texts, language };
}

/**
 * The plan that a person names by its digest or by at least the first 8 digits of it; without a name the open plan.
 * @throws NOTHING_TO_DO (nothing is open) APPROVAL_PLAN_UNKNOWN
 */
export function findPlan(device: Device, name: string | undefined): StoredPlan {
  if (name === undefined) {
    const open = openPlan(device);
    if (open === null)
      throw clientError('NOTHING_TO_DO', 'no plan is open', { hint: 'poll with countersign-device check' });
    return open;
  }
  const found = /^[0-9a-f]{8,64}$/.test(name) ? plansBeginning(device, name) : [];
  return readPlan(device, found.length === 1 ? found[0]! : name);
}
