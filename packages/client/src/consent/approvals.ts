/**
 * Takes a person's answer to a plan, in two steps. `signAnswer` runs where the password was typed and makes the record, signed by
 * the account's key. The record holds no secret, so it may be passed to the process that has the device lock. `recordAnswer` runs
 * there. It trusts nothing in the record, checks it against the plan and the accounts, adds the device's signature and keeps it:
 * record, plan state and accepted terms in one transaction, all in the audit trail. Where a plan needs two persons, the second
 * signs the first one's record with their own name added; any other difference is refused.
 *
 * An approval does not change a capability: what it grants becomes effective with the generation that installs it.
 */
import { Buffer } from 'node:buffer';
import { createPrivateKey, createPublicKey, randomBytes, sign } from 'node:crypto';
import {
  payloadOf,
  signedByEnvelope,
  shortDigest,
  approvalFormat,
  approvalPayloadType,
  approvalType,
  canonicalBytes,
  envelopeFormat,
  keyIdOf,
  preAuthEncoding,
  sha256,
  verifySignature,
  timeText,
  type Approval,
  type Envelope,
  type PublicKey,
} from '@countersign/protocol';
import { appendAudit, hasRecord, keepPerson, personCommitment, type Person } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { readSetting, writeSetting } from '../device/settings.ts';
import { pruneDownloads } from '../generations/download-folder.ts';
import {
  planState,
  readPlan,
  setPlanState,
  undecidedStates,
  waitingStates,
  type PlanState,
} from '../generations/plans.ts';
import { listAccounts, type Account, type SignedIn } from './accounts.ts';
import {
  checkRecord,
  decisionsOf,
  joinRecord,
  meanings,
  personsNeeded,
  refusedRecord,
  termsOf,
  type Answer,
} from './approval-record.ts';
import { consentError } from './consent-errors.ts';

export { personsNeeded, type Answer } from './approval-record.ts';

/** Plain JSON without secrets. */
export interface SignedAnswer {
  readonly envelope: Envelope;
  readonly person: Person;
}

export interface RecordedAnswer {
  readonly plan: string;
  readonly state: Extract<PlanState, 'approved' | 'awaiting-approval' | 'declined'>;
  /** How many persons signed, and how many must. */
  readonly signed: number;
  readonly needed: number;
}

/** A signature counts only if the password was given at most this long ago. */
const freshMilliseconds = 15 * 60_000;

/**
 * Makes and signs the record of one person's answer. If another person already signed this plan, it is that person's record with
 * this one added. @throws APPROVAL_PLAN_UNKNOWN APPROVAL_PLAN_STATE APPROVAL_RECORD APPROVAL_RECORD_DIFFERS
 */
export function signAnswer(device: Device, answer: Answer, person: SignedIn): SignedAnswer {
  const { plan, state } = readPlan(device, answer.plan);
  checkState(answer.plan, state, answer.answer);
  const salt = randomBytes(16).toString('hex');
  const approver = {
    keyid: person.keyid,
    person: personCommitment(salt, person.name, person.printedName),
    method: 'password' as const,
    authenticated: timeText(person.authenticated),
    meaning: meanings[answer.answer],
  };
  const now = device.clock();
  const own: Approval = {
    _type: approvalType,
    device: plan.device,
    plan: answer.plan,
    answer: answer.answer,
    decisions: answer.answer === 'approve' ? decisionsOf(plan, answer) : [],
    terms: answer.answer === 'approve' ? termsOf(plan, answer) : [],
    approvers: [approver],
    language: answer.language,
    shown: sha256(answer.shown),
    ...localTime(now),
    timeFloor: readSetting(device.database, 'timeFloor') ?? timeText(now),
    ...(answer.reason === undefined ? {} : { reason: answer.reason }),
  };
  const first = answer.answer === 'approve' ? pendingRecord(device, answer.plan) : null;
  const record = first === null ? own : joinRecord(first, own);
  const payload = approvalFormat.serialize(record);
  const sig = person.sign(preAuthEncoding(approvalPayloadType, payload)).toString('base64');
  return {
    envelope: {
      payload: payload.toString('base64'),
      payloadType: approvalPayloadType,
      signatures: [{ keyid: person.keyid, sig }],
    },
    person: { salt, account: person.name, printedName: person.printedName },
  };
}

/**
 * Checks a signed answer and keeps it. The caller holds the device lock.
 * @throws APPROVAL_RECORD (it does not fit the plan, the accounts or its signature) APPROVAL_RECORD_DIFFERS
 * APPROVAL_SAME_PERSON APPROVAL_PLAN_UNKNOWN APPROVAL_PLAN_STATE
 */
export function recordAnswer(device: Device, signed: SignedAnswer): RecordedAnswer {
  const { database } = device;
  return transact(database, () => {
    const { record, envelope } = openRecord(signed.envelope);
    const { plan, state } = readPlan(device, record.plan);
    checkState(record.plan, state, record.answer);
    const approver = record.approvers.at(-1)!;
    const account = accountOf(device, approver.keyid);
    checkSignature(envelope, account);
    checkPerson(signed.person, approver.person, account);
    checkFresh(device, approver.authenticated);
    const first = record.answer === 'approve' ? pendingRecord(device, record.plan) : null;
    checkRecord(record, readSetting(database, 'device') ?? '', plan, first);

    const countersigned = signByDevice(device, envelope);
    keepPerson(device, approver.person, signed.person);
    const needed = record.answer === 'approve' ? personsNeeded(plan, record.decisions) : 1;
    const complete = record.approvers.length >= needed;
    const kind = complete ? (record.answer === 'approve' ? 'approval' : 'refusal-signed') : 'approval-signed';
    const { sequence } = appendAudit(device, kind, { plan: record.plan, envelope: countersigned });
    writeSetting(database, 'pendingApproval', complete ? null : { plan: record.plan, record });
    const result = { plan: record.plan, signed: record.approvers.length, needed };
    if (record.answer === 'decline') {
      setPlanState(device, record.plan, 'declined', { reason: record.reason ?? null });
      pruneDownloads(device);
      return { ...result, state: 'declined' };
    }
    if (!complete) {
      setPlanState(device, record.plan, 'awaiting-approval', { reason: 'a second person must sign the same record' });
      return { ...result, state: 'awaiting-approval' };
    }
    const at = timeText(device.clock());
    database
      .prepare('INSERT OR REPLACE INTO approval (plan, sequence, envelope, at) VALUES (?, ?, ?, ?)')
      .run(record.plan, sequence, canonicalBytes(countersigned), at);
    const accept = database.prepare(
      'INSERT OR REPLACE INTO accepted_terms (component, version, sha256, approval) VALUES (?, ?, ?, ?)',
    );
    for (const { component, version, text } of record.terms) accept.run(component, version, text, record.plan);
    setPlanState(device, record.plan, 'approved');
    return { ...result, state: 'approved' };
  });
}

/** Postpones the plan, until a time if one is given. @throws APPROVAL_PLAN_UNKNOWN APPROVAL_PLAN_STATE */
export function holdPlan(device: Device, plan: string, reason: string, until: Date | null = null): void {
  checkState(plan, readPlan(device, plan).state, 'decline');
  setPlanState(device, plan, 'held', { reason, until: until === null ? null : timeText(until) });
}

/** How many plans were approved on this device. */
export const countApprovals = (device: Device): number =>
  (device.database.prepare('SELECT count(*) AS count FROM approval').get() as { count: number }).count;

/** When the approval of a plan became complete; null if it never did. */
export function approvedAt(device: Device, plan: string): Date | null {
  const row = device.database.prepare('SELECT at FROM approval WHERE plan = ?').get(plan) as { at: string } | undefined;
  return row === undefined ? null : new Date(row.at);
}

/** Terms accepted with a plan that was installed; until then the same plan still shows them. Each is "component version". */
export const acceptedTerms = (device: Device): ReadonlySet<string> =>
  new Set(
    (
      device.database.prepare('SELECT component, version, approval FROM accepted_terms').all() as {
        component: string;
        version: string;
        approval: string;
      }[]
    )
      .filter(({ approval }) => planState(device, approval) === 'committed')
      .map(({ component, version }) => `${component} ${version}`),
  );

/** The complete approval of a plan and when it was recorded; null where there is none. */
export function readApproval(device: Device, plan: string): { record: Approval; at: string } | null {
  const row = device.database.prepare('SELECT envelope, at FROM approval WHERE plan = ?').get(plan) as
    { envelope: Uint8Array; at: string } | undefined;
  if (row === undefined) return null;
  return { record: approvalFormat.parse(payloadOf(envelopeFormat.parse(row.envelope))), at: row.at };
}

function checkState(plan: string, state: PlanState, answer: Answer['answer']): void {
  const open = answer === 'approve' ? undecidedStates : [...undecidedStates, ...waitingStates];
  if (!open.includes(state))
    throw consentError('APPROVAL_PLAN_STATE', `plan ${shortDigest(plan)} is ${state}, it cannot be ${answer}d now`);
}

function openRecord(value: unknown): { record: Approval; envelope: Envelope } {
  const envelope = envelopeFormat.check(value, 'the approval');
  // DSSE: the payload type is signed with the payload, so a record of another kind is not an approval.
  if (envelope.payloadType !== approvalPayloadType) throw refusedRecord('it is not an approval record');
  return { envelope, record: approvalFormat.parse(payloadOf(envelope), 'the approval record') };
}

function accountOf(device: Device, keyid: string): Account {
  const account = listAccounts(device).find((one) => one.keyid === keyid);
  if (account === undefined) throw refusedRecord('the account that signed it is not on this device');
  if (!account.roles.includes('technician')) throw refusedRecord(`account ${account.name} may not approve`);
  return account;
}

/** 21 CFR 11.70: the signature covers this record and is by the account that the record names. */
function checkSignature(envelope: Envelope, account: Account): void {
  const signed = signedByEnvelope(envelope);
  const signature = envelope.signatures.find(({ keyid }) => keyid === account.keyid);
  if (envelope.signatures.length !== 1 || signature === undefined)
    throw refusedRecord('it is not signed by the account that it names, and by that alone');
  if (!verifySignature(account.publicKey, signed, Buffer.from(signature.sig, 'base64').toString('hex')))
    throw refusedRecord(`the signature of account ${account.name} does not hold`);
}

function checkPerson(person: SignedAnswer['person'], commitment: string, account: Account): void {
  if (person.account !== account.name || person.printedName !== account.printedName)
    throw refusedRecord('the person is not the one of the account');
  if (personCommitment(person.salt, person.account, person.printedName) !== commitment)
    throw refusedRecord('the record commits to another person');
}

function checkFresh(device: Device, authenticated: string): void {
  const age = device.clock().getTime() - Date.parse(authenticated);
  if (age > freshMilliseconds || age < -60_000)
    throw refusedRecord(`it was signed at ${authenticated}, too far from now`);
}

/** The record that one person signed and that still needs another. */
function pendingRecord(device: Device, plan: string): Approval | null {
  const pending = readSetting(device.database, 'pendingApproval');
  return pending?.plan === plan ? pending.record : null;
}

/** Adds the device's signature to the person's, to show that the record was made on this device. */
function signByDevice(device: Device, envelope: Envelope): Envelope {
  const key = createPrivateKey(readSetting(device.database, 'deviceKey')!);
  const publicKey: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: createPublicKey(key).export({ type: 'spki', format: 'pem' }) },
  };
  const keyid = keyIdOf(publicKey);
  if (!hasRecord(device, 'device-key')) appendAudit(device, 'device-key', { keyid, key: publicKey });
  const signed = signedByEnvelope(envelope);
  return {
    ...envelope,
    signatures: [...envelope.signatures, { keyid, sig: sign('sha256', signed, key).toString('base64') }],
  };
}

/** Local time with its offset, and the name of the time zone, as on a paper record. */
function localTime(now: Date): { localTime: string; zone: string } {
  const offset = -now.getTimezoneOffset();
  const shifted = new Date(now.getTime() + offset * 60_000).toISOString().slice(0, 19);
  const two = (value: number): string => String(Math.trunc(Math.abs(value))).padStart(2, '0');
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const suffix = offset === 0 ? 'Z' : `${offset < 0 ? '-' : '+'}${two(offset / 60)}:${two(offset % 60)}`;
  return { localTime: `${shifted}${suffix}`, zone };
}
