/** What was changed on a device and who signed for it, for people; the proof is the audit trail. */
import { Buffer } from 'node:buffer';
import { approvalFormat, envelopeFormat, planFormat } from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import type { PlanState } from '../generations/plans.ts';

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
  /** `name` is null where it was erased. */
  readonly approvers: readonly { readonly keyid: string; readonly name: string | null; readonly at: string }[];
}

/** Every plan that a person or the device did something about, newest first. */
export function readHistory(device: Device): HistoryEntry[] {
  const rows = device.database
    .prepare(
      `SELECT plan.digest, body, state, reason, created, changed, envelope FROM plan
       LEFT JOIN approval ON approval.plan = plan.digest ORDER BY changed DESC, created DESC`,
    )
    .all() as unknown as {
    digest: string;
    body: Uint8Array;
    state: PlanState;
    reason: string | null;
    created: string;
    changed: string;
    envelope: Uint8Array | null;
  }[];
  return rows.map(({ digest, body, envelope, ...row }) => {
    const record = envelope && approvalFormat.parse(Buffer.from(envelopeFormat.parse(envelope).payload, 'base64'));
    return {
      plan: digest,
      ...row,
      steps: planFormat.parse(body).steps.map(({ component, action, from, to }) => ({
        component,
        action,
        from: from?.version ?? null,
        to: to?.version ?? null,
      })),
      decisions: record?.decisions.map(({ component, capability, grant }) => ({ component, capability, grant })) ?? [],
      approvers:
        record?.approvers.map(({ keyid, person, authenticated }) => ({
          keyid,
          name: nameOf(device, person),
          at: authenticated,
        })) ?? [],
    };
  });
}

function nameOf(device: Device, commitment: string): string | null {
  const row = device.database.prepare('SELECT printed_name FROM audit_person WHERE commitment = ?').get(commitment) as
    { printed_name: string } | undefined;
  return row?.printed_name ?? null;
}
