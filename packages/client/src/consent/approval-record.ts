/**
 * The rules of an approval record: what the plan determines in it, and how a second person's record extends the first one's.
 * Pure. A record holds exactly what the plan asks, in the plan's order. Never fills in a default.
 */
import { Buffer } from 'node:buffer';
import { canonicalBytes, type Approval, type ApprovalDecision, type Plan } from '@countersign/protocol';
import { consentError } from './consent-errors.ts';

/** A person's answers to everything that a plan asks. */
export interface Answers {
  /** Every decision that the plan asks; empty on decline. */
  readonly decisions: readonly { readonly component: string; readonly capability: string; readonly grant: boolean }[];
  /** Terms that the person accepted: all that the plan asks; empty on decline. */
  readonly terms: readonly { readonly component: string; readonly version: string }[];
}

export interface Answer extends Answers {
  /** Plan digest. */
  readonly plan: string;
  readonly answer: 'approve' | 'decline';
  /** BCP 47, of the text that was shown. */
  readonly language: string;
  /** The whole text that was shown. */
  readonly shown: string;
  readonly reason?: string;
}

/** 21 CFR 11.50: what a signature means, in words. */
export const meanings = {
  approve: 'I have read this change and approve its installation with exactly these decisions.',
  decline: 'I have read this change and decline it.',
} as const;
/** How many persons must sign. The riskiest granted capability decides. */
export function personsNeeded(
  plan: Plan,
  grants: readonly { component: string; capability: string; grant: boolean }[],
): number {
  const granted = new Set(grants.filter(({ grant }) => grant).map((one) => `${one.component}/${one.capability}`));
  const risks = plan.steps.flatMap(({ component, decisions }) =>
    decisions.filter(({ capability }) => granted.has(`${component}/${capability}`)).map(({ risk }) => risk),
  );
  return Math.max(plan.approvers.standard, ...risks.map((risk) => plan.approvers[risk]));
}

/** Each decision that the plan asks, in its order, with the contract and scope that are granted. */
export function decisionsOf(plan: Plan, { decisions }: Answer): ApprovalDecision[] {
  const given = new Map(decisions.map((one) => [`${one.component}/${one.capability}`, one.grant]));
  const asked = plan.steps.flatMap(({ component, decisions: questions }) =>
    questions.map(({ capability, contract, scope }): ApprovalDecision => {
      const grant = given.get(`${component}/${capability}`);
      if (grant === undefined) throw refusedRecord(`${component}/${capability} is not decided`);
      return { component, capability, contract, scope, grant };
    }),
  );
  if (asked.length !== decisions.length)
    throw refusedRecord('a capability is decided twice, or one that the plan does not ask');
  return asked;
}

/** All terms that the plan asks, each with the digest of the text in the language that was read, or English. */
export function termsOf(plan: Plan, { terms, language }: Answer): Approval['terms'] {
  const asked = plan.steps.flatMap(({ component, terms: asks }) => {
    if (!asks) return [];
    if (!terms.some((one) => one.component === component && one.version === asks.version))
      throw refusedRecord(`terms ${asks.version} of ${component} are not accepted`);
    const read = Object.hasOwn(asks.texts, language)
      ? language
      : Object.hasOwn(asks.texts, 'en')
        ? 'en'
        : Object.keys(asks.texts)[0]!;
    return [{ component, version: asks.version, language: read, text: asks.texts[read]! }];
  });
  if (asked.length !== terms.length) throw refusedRecord('terms are accepted that the plan does not ask');
  return asked;
}

/** The first person's record with the second person added. @throws APPROVAL_RECORD_DIFFERS APPROVAL_SAME_PERSON */
export function joinRecord(first: Approval, own: Approval): Approval {
  if (first.approvers.some(({ keyid }) => keyid === own.approvers[0]!.keyid))
    throw consentError('APPROVAL_SAME_PERSON', 'this account signed the record already');
  const same = (record: Approval): Buffer =>
    canonicalBytes([record.decisions, record.terms, record.language, record.shown, record.reason ?? null]);
  if (!same(first).equals(same(own)))
    throw consentError(
      'APPROVAL_RECORD_DIFFERS',
      'these decisions, terms or shown text are not those of the first person',
    );
  return { ...first, approvers: [...first.approvers, ...own.approvers] };
}

/** Everything in the record that the plan or the first person's record determines. */
export function checkRecord(record: Approval, device: string, plan: Plan, first: Approval | null): void {
  if (record.device !== device) throw refusedRecord('it is of another device');
  if (record.approvers.length !== (first?.approvers.length ?? 0) + 1)
    throw consentError('APPROVAL_RECORD_DIFFERS', 'it does not continue the record that was signed first');
  if (record.approvers.some(({ meaning }) => meaning !== meanings[record.answer]))
    throw refusedRecord('its meaning in words is not that of its answer');
  if (first !== null) {
    joinRecord(first, { ...record, approvers: record.approvers.slice(-1) });
    if (!canonicalBytes({ ...record, approvers: record.approvers.slice(0, -1) }).equals(canonicalBytes(first)))
      throw consentError('APPROVAL_RECORD_DIFFERS', 'it changes the record that was signed first');
  }
  const language = (component: string): string =>
    record.terms.find((one) => one.component === component)?.language ?? record.language;
  const answer = { ...record, shown: '' };
  const decisions = record.answer === 'approve' ? decisionsOf(plan, answer) : [];
  const terms =
    record.answer === 'approve'
      ? plan.steps.flatMap((step) =>
          termsOf(
            { ...plan, steps: [step] },
            {
              ...answer,
              language: language(step.component),
              terms: record.terms.filter((one) => one.component === step.component),
            },
          ),
        )
      : [];
  if (!canonicalBytes([record.decisions, record.terms]).equals(canonicalBytes([decisions, terms])))
    throw refusedRecord('its decisions or terms are not in the form and order of the plan');
}

export const refusedRecord = (what: string): Error =>
  consentError('APPROVAL_RECORD', `the approval record is refused: ${what}`);
