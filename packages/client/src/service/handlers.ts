/**
 * Carries out requests to the device, from a command or from the service on a command's behalf. Every handler runs under the
 * device lock and gets plain JSON. A password never comes here: the command turns it into a signature first.
 */
import { shortDigest } from '@countersign/protocol';
import { holdPlan, recordAnswer, type SignedAnswer } from '../consent/approvals.ts';
import { appendAudit } from '../device/audit.ts';
import type { Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import type { PlanRequests } from '../device/settings.ts';
import { currentRow } from '../generations/generations.ts';
import { revokeCapability } from '../generations/grants.ts';
import { openPlan, readPlan } from '../generations/plans.ts';
import { installApproved, type InstallOptions, type InstallOutcome } from '../installing/install-flow.ts';
import { checkRollback } from '../installing/rollback-check.ts';
import { rollback } from '../installing/rollback.ts';
import type { Handlers } from './intents.ts';
import { poll, type PollResult } from './polling.ts';

/** Who asked: the key of an account that signed in, or anyone who may write to the device folder. */
export interface Asker {
  readonly by: string;
}

export interface RevokeRequest extends Asker {
  readonly component: string;
  readonly capability: string;
}

export interface HoldRequest {
  readonly plan: string;
  readonly reason: string;
  /** RFC 3339; null: until somebody decides. */
  readonly until: string | null;
}

/** All that can be asked of a device. */
export const handlersOf = (device: Device, options: InstallOptions = {}) =>
  ({
    check: (): Promise<PollResult> => poll(device),
    answer: async (signed: SignedAnswer) => recordAnswer(device, signed),
    hold: async ({ plan, reason, until }: HoldRequest) => {
      holdPlan(device, plan, reason, until === null ? null : new Date(until));
      return { plan, state: 'held', until };
    },
    install: ({ plan }: { plan: string | null }): Promise<InstallOutcome> => installPlan(device, plan, options),
    rollback: async ({ by }: Asker) => {
      const outcome = await rollback(device, {
        check: async (target) => {
          await checkRollback(device, target);
          appendAudit(device, 'rollback-asked', { by, generation: target.number });
        },
        ...(options.onProgress && { onProgress: options.onProgress }),
      });
      return outcome;
    },
    revoke: async ({ component, capability, by }: RevokeRequest) => {
      revokeCapability(device, component, capability, by);
      return { component, capability, state: 'revoked' };
    },
    request: async (asked: PlanRequests): Promise<PollResult> => askFor(device, asked),
  }) satisfies Handlers;

/** If the service has meanwhile carried out the plan, the answer is how that ended. */
async function installPlan(device: Device, digest: string | null, options: InstallOptions): Promise<InstallOutcome> {
  if (digest === null || openPlan(device)?.digest === digest) return installApproved(device, options);
  const { state, outcome } = readPlan(device, digest);
  if (outcome === null || (state !== 'committed' && state !== 'rolled-back'))
    throw clientError('NOTHING_TO_DO', `plan ${shortDigest(digest)} is ${state}`, {
      hint: 'see countersign-device plan for what is open now',
    });
  return { ...outcome, plan: digest, running: currentRow(device)?.generation ?? 0 };
}

async function askFor(device: Device, asked: PlanRequests): Promise<PollResult> {
  const result = await poll(device, asked);
  const { requests = [], removals = [] } = asked;
  const wanted = [...requests.map(({ component }) => component), ...removals];
  const steps = new Map(
    result.plan === null
      ? []
      : readPlan(device, result.plan.digest).plan.steps.map((step) => [step.component, step] as const),
  );
  // A request that cannot be planned leaves the earlier plan open, and that plan does not answer the request.
  const planned =
    requests.every(({ component, capability }) =>
      steps.get(component)?.decisions.some((one) => one.capability === capability && one.change === 'requested'),
    ) && removals.every((component) => steps.get(component)?.action === 'remove');
  if (planned) return result;
  const why = result.omitted.find(({ component }) => wanted.includes(component));
  throw clientError(
    'REQUEST_REFUSED',
    why ? `${why.component}: ${why.reason} (${why.code})` : 'what was asked for changes nothing',
  );
}
