/**
 * The approval record: the technician's answer to one plan, signed by the account's key and the device's (21 CFR 11.50,
 * 11.70). Personal fields are stored as salted commitments. Their clear text is kept beside the chain, so that a person can be
 * erased and the chain stays whole.
 */
import Type, { type Static } from 'typebox';
import { format } from '../schema.ts';
import { closed, CapabilityId, ComponentName, Scope, Sha256, Time } from '../text.ts';

export const approvalType = 'https://countersign.dev/approval/v1';
export const approvalPayloadType = 'application/vnd.countersign.approval.v1+json';

export const ApprovalDecision = Type.Object(
  {
    component: ComponentName,
    capability: CapabilityId,
    contract: Type.Integer({ minimum: 1 }),
    scope: Scope,
    grant: Type.Boolean(),
  },
  closed,
);
export type ApprovalDecision = Static<typeof ApprovalDecision>;

/** One signing account. `person` commits to {salt, account, printedName}: sha256 of the RFC 8785 bytes. */
const Approver = Type.Object(
  {
    keyid: Sha256,
    person: Sha256,
    /** How the person was authenticated. */
    method: Type.Literal('password'),
    authenticated: Time,
    meaning: Type.String({ minLength: 1, maxLength: 500 }),
  },
  closed,
);
export type Approver = Static<typeof Approver>;

export const Approval = Type.Object(
  {
    _type: Type.Literal(approvalType),
    device: Sha256,
    plan: Sha256,
    answer: Type.Union([Type.Literal('approve'), Type.Literal('decline')]),
    /** One for each decision that the plan asks for, in the plan's order. Empty when the plan was declined. */
    decisions: Type.Array(ApprovalDecision, { maxItems: 2000 }),
    terms: Type.Array(
      Type.Object(
        {
          component: ComponentName,
          version: Type.String({ maxLength: 32 }),
          language: Type.String({ maxLength: 40 }),
          text: Sha256,
        },
        closed,
      ),
      { maxItems: 200 },
    ),
    approvers: Type.Array(Approver, { minItems: 1, maxItems: 2 }),
    language: Type.String({ maxLength: 40 }),
    /** sha256 of the text that was shown. */
    shown: Sha256,
    /** Local time with offset, RFC 3339. */
    localTime: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(Z|[+-]\\d{2}:\\d{2})$' }),
    zone: Type.String({ maxLength: 64 }),
    /** The device's signed-time floor at the moment of signing. */
    timeFloor: Time,
    reason: Type.Optional(Type.String({ maxLength: 500 })),
  },
  closed,
);
export type Approval = Static<typeof Approval>;
export const approvalFormat = format('approval record', Approval, 1 << 20);
