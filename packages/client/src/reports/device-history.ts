/** Lists what was changed on a device and who signed for it, for people to read; the proof is the audit trail. */
import { readApproval } from '../consent/approvals.ts';
import { printedNameOf } from '../device/audit.ts';
import type { Device } from '../device/device.ts';
import { listPlans, type PlanState } from '../generations/plans.ts';

export interface HistoryEntry {
  readonly plan: string;
  readonly state: PlanState;
  readonly reason: string | null;
  readonly created: string;
  readonly changed: string;
  readonly steps: readonly {
    readonly component: string;
    readonly action: string;
    readonly from: string | null;
    readonly to: string | null;
  }[];
  readonly decisions: readonly { readonly component: string; readonly capability: string; readonly grant: boolean }[];
  /** `name` is null if it was erased. */
  readonly approvers: readonly { readonly keyid: string; readonly name: string | null; readonly at: string }[];
}

/** Every plan that a person or the device did something about, newest first. */
export function readHistory(device: Device): HistoryEntry[] {
  return listPlans(device).map(({ digest, plan, state, reason, created, changed }) => {
    const record = readApproval(device, digest)?.record;
    return {
      plan: digest,
      state,
      reason,
      created,
      changed,
      steps: plan.steps.map(({ component, action, from, to }) => ({
        component,
        action,
        from: from?.version ?? null,
        to: to?.version ?? null,
      })),
      decisions: record?.decisions.map(({ component, capability, grant }) => ({ component, capability, grant })) ?? [],
      approvers:
        record?.approvers.map(({ keyid, person, authenticated }) => ({
          keyid,
          name: printedNameOf(device, person),
          at: authenticated,
        })) ?? [],
    };
  });
}
