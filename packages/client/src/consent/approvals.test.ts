import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  approvalFormat,
  canonicalBytes,
  planDigest,
  planType,
  preAuthEncoding,
  type Approval,
  type Decision,
  type Plan,
} from '@countersign/protocol';
import { scratchDevice, type ScratchDevice } from '../../../../test/support/scratch-device.ts';
import { rewriteBytes } from '../../../../test/support/tampering.ts';
import { exportAudit, personCommitment, verifyAudit } from '../device/audit.ts';
import { readSetting } from '../device/settings.ts';
import { listDecisions } from '../generations/capability-decisions.ts';
import { addPlan, openPlan, readPlan, setPlanState } from '../generations/plans.ts';
import { addAccount, signIn, type SignedIn } from './accounts.ts';
import { holdPlan, readApproval, recordAnswer, signAnswer, type Answer, type SignedAnswer } from './approvals.ts';

const decision = (capability: string, change: Partial<Decision> = {}): Decision => ({
  capability,
  contract: 1,
  risk: 'standard',
  scope: { area: ['logs'] },
  required: false,
  change: 'new',
  ...change,
});
const terms = { version: '2025-01', texts: { en: 'a'.repeat(64), ko: 'b'.repeat(64) } };

function planOf(device: ScratchDevice): Plan {
  const at = { version: '1.0.0', platform: 'any' as const, release: 'c'.repeat(64) };
  const step = { action: 'install', from: null, to: at, urgency: 'routine', rollback: 'safe' } as const;
  const empty = { kept: [], off: [], denied: [], closed: [] };
  return {
    _type: planType,
    device: readSetting(device.database, 'device')!,
    model: 'Navios',
    fromGeneration: 0,
    steps: [
      { component: 'diagnostics', ...step, decisions: [], ...empty },
      {
        component: 'remote-support',
        ...step,
        decisions: [decision('file-transfer', { risk: 'phi' }), decision('screen-view')],
        terms,
        ...empty,
      },
    ],
    approvers: { standard: 1, high: 1, phi: 2 },
  };
}

const password = 'correct horse battery';
async function ready() {
  const device = scratchDevice();
  for (const [name, printedName] of [
    ['kim', 'Kim Minji'],
    ['lee', 'Lee Jisoo'],
  ] as const)
    await addAccount(device, {
      name,
      printedName,
      roles: ['technician'],
      password,
      weakCostsForTests: { N: 16, r: 8, p: 1 },
    });
  const offered = planOf(device);
  const plan = planDigest(offered);
  addPlan(device, offered, plan);
  return { device, plan, kim: await signIn(device, 'kim', password), lee: await signIn(device, 'lee', password) };
}

const approve = (plan: string, grants: { transfer?: boolean; view?: boolean } = {}): Answer => ({
  plan,
  answer: 'approve',
  decisions: [
    { component: 'remote-support', capability: 'screen-view', grant: grants.view ?? true },
    { component: 'remote-support', capability: 'file-transfer', grant: grants.transfer ?? false },
  ],
  terms: [{ component: 'remote-support', version: '2025-01' }],
  language: 'ko',
  shown: 'the plan in words',
});
const decline = (plan: string): Answer => ({
  ...approve(plan),
  answer: 'decline',
  decisions: [],
  terms: [],
  reason: 'not during the night shift',
});

test('an approval is signed by person and device, and keeps plan, terms and record together', async () => {
  const { device, plan, kim } = await ready();
  const result = recordAnswer(device, signAnswer(device, approve(plan), kim));
  assert.deepEqual(result, { plan, state: 'approved', signed: 1, needed: 1 });
  assert.equal(readPlan(device, plan).state, 'approved');
  const { record } = readApproval(device, plan)!;
  assert.deepEqual(
    record.decisions.map(({ capability, grant, contract }) => [capability, grant, contract]),
    [
      ['file-transfer', false, 1],
      ['screen-view', true, 1],
    ],
  );
  assert.deepEqual(record.terms, [
    { component: 'remote-support', version: '2025-01', language: 'ko', text: 'b'.repeat(64) },
  ]);
  assert.equal(JSON.stringify(record).includes('Kim'), false);
  assert.equal(
    (device.database.prepare('SELECT approval FROM accepted_terms').get() as { approval: string }).approval,
    plan,
  );
  assert.deepEqual(listDecisions(device), []);
  verifyAudit(device);
});

test('a changed signature in the trail shows', async () => {
  const { device, plan, kim } = await ready();
  recordAnswer(device, signAnswer(device, approve(plan), kim));
  const lines = [...exportAudit(device)].map((line) => JSON.parse(line) as { sequence?: number });
  assert.equal(verifyAudit(device).records, lines.filter(({ sequence }) => sequence !== undefined).length);
  rewriteBytes(device, 'audit', 'body', (text) => text.replaceAll('"technician"', '"technican"'));
  assert.throws(() => verifyAudit(device), { code: 'AUDIT_BROKEN' });
});

test('a phi capability waits until two persons have signed the same record', async () => {
  const { device, plan, kim, lee } = await ready();
  const answer = approve(plan, { transfer: true });
  assert.equal(recordAnswer(device, signAnswer(device, answer, kim)).state, 'awaiting-approval');
  assert.equal(openPlan(device)?.state, 'awaiting-approval');
  assert.equal(readApproval(device, plan), null);
  assert.throws(() => signAnswer(device, answer, kim), { code: 'APPROVAL_SAME_PERSON' });
  assert.throws(() => signAnswer(device, approve(plan, { transfer: false }), lee), { code: 'APPROVAL_RECORD_DIFFERS' });
  assert.throws(() => signAnswer(device, { ...answer, shown: 'something else' }, lee), {
    code: 'APPROVAL_RECORD_DIFFERS',
  });
  const result = recordAnswer(device, signAnswer(device, answer, lee));
  assert.deepEqual(result, { plan, state: 'approved', signed: 2, needed: 2 });
  assert.deepEqual(
    readApproval(device, plan)!.record.approvers.map(({ keyid }) => keyid),
    [kim.keyid, lee.keyid],
  );
  verifyAudit(device);
});

test('two records signed side by side do not become one', async () => {
  const { device, plan, kim, lee } = await ready();
  const answer = approve(plan, { transfer: true });
  const [first, second] = [signAnswer(device, answer, kim), signAnswer(device, answer, lee)];
  recordAnswer(device, first);
  assert.throws(() => recordAnswer(device, second), { code: 'APPROVAL_RECORD_DIFFERS' });
  assert.throws(() => recordAnswer(device, first), { code: 'APPROVAL_RECORD_DIFFERS' });
  assert.equal(readPlan(device, plan).state, 'awaiting-approval');
});

test('a decline takes an approval back until the switch, and can be answered anew', async () => {
  const { device, plan, kim } = await ready();
  recordAnswer(device, signAnswer(device, approve(plan), kim));
  assert.throws(() => signAnswer(device, approve(plan), kim), { code: 'APPROVAL_PLAN_STATE' });
  assert.equal(recordAnswer(device, signAnswer(device, decline(plan), kim)).state, 'declined');
  assert.equal(readPlan(device, plan).reason, 'not during the night shift');
  recordAnswer(device, signAnswer(device, approve(plan), kim));
  setPlanState(device, plan, 'switching');
  assert.throws(() => signAnswer(device, decline(plan), kim), { code: 'APPROVAL_PLAN_STATE' });
  assert.throws(() => holdPlan(device, plan, 'later'), { code: 'APPROVAL_PLAN_STATE' });
});

test('a decline forgets the first of two signatures', async () => {
  const { device, plan, kim, lee } = await ready();
  const answer = approve(plan, { transfer: true });
  recordAnswer(device, signAnswer(device, answer, kim));
  recordAnswer(device, signAnswer(device, decline(plan), lee));
  assert.equal(recordAnswer(device, signAnswer(device, answer, lee)).state, 'awaiting-approval');
});

test('a plan on hold says until when, and can be approved', async () => {
  const { device, plan, kim } = await ready();
  holdPlan(device, plan, 'calibration', new Date('2026-11-24T06:00:00Z'));
  assert.deepEqual([readPlan(device, plan).state, readPlan(device, plan).until], ['held', '2026-11-24T06:00:00Z']);
  assert.equal(recordAnswer(device, signAnswer(device, approve(plan), kim)).state, 'approved');
});

const incomplete: Record<string, (answer: Answer) => Answer> = {
  'a capability left out': (answer) => ({ ...answer, decisions: answer.decisions.slice(1) }),
  'a capability decided twice': (answer) => ({ ...answer, decisions: [...answer.decisions, answer.decisions[0]!] }),
  'a capability that is not asked': (answer) => ({
    ...answer,
    decisions: [...answer.decisions, { component: 'remote-support', capability: 'other', grant: true }],
  }),
  'a capability in place of another': (answer) => ({
    ...answer,
    decisions: [answer.decisions[0]!, { component: 'remote-support', capability: 'other', grant: true }],
  }),
  'terms not accepted': (answer) => ({ ...answer, terms: [] }),
  'other terms accepted': (answer) => ({ ...answer, terms: [{ component: 'remote-support', version: '2024-01' }] }),
  'terms that are not asked': (answer) => ({
    ...answer,
    terms: [...answer.terms, { component: 'diagnostics', version: '1' }],
  }),
};
for (const [name, change] of Object.entries(incomplete))
  test(`refuses to sign an answer with ${name}`, async () => {
    const { device, plan, kim } = await ready();
    assert.throws(() => signAnswer(device, change(approve(plan)), kim), { code: 'APPROVAL_RECORD' });
  });

test('a plan that the device does not know is not signed', async () => {
  const { device, kim } = await ready();
  assert.throws(() => signAnswer(device, approve('0'.repeat(64)), kim), { code: 'APPROVAL_PLAN_UNKNOWN' });
});

/** The person's own record, altered and signed again by the same account. */
function bent(
  signed: SignedAnswer,
  by: SignedIn,
  change: (record: Approval) => object,
  payloadType = signed.envelope.payloadType,
): SignedAnswer {
  const record = JSON.parse(Buffer.from(signed.envelope.payload, 'base64').toString()) as Approval;
  const payload = canonicalBytes(change(record));
  const sig = by.sign(preAuthEncoding(payloadType, payload)).toString('base64');
  const envelope = { payloadType, payload: payload.toString('base64'), signatures: [{ keyid: by.keyid, sig }] };
  return { ...signed, envelope };
}

const hostile: Record<string, (record: Approval) => object> = {
  'for another device': (record) => ({ ...record, device: '1'.repeat(64) }),
  'with a wider scope than asked': (record) => ({
    ...record,
    decisions: record.decisions.map((one) => ({ ...one, scope: { area: ['logs', 'results'] } })),
  }),
  'with another contract': (record) => ({
    ...record,
    decisions: record.decisions.map((one) => ({ ...one, contract: 2 })),
  }),
  'with decisions in another order': (record) => ({ ...record, decisions: record.decisions.toReversed() }),
  'without a decision': (record) => ({ ...record, decisions: record.decisions.slice(1) }),
  'with another text of the terms': (record) => ({
    ...record,
    terms: record.terms.map((one) => ({ ...one, text: 'f'.repeat(64) })),
  }),
  'with another meaning in words': (record) => ({
    ...record,
    approvers: record.approvers.map((one) => ({ ...one, meaning: 'I was not here.' })),
  }),
  'by a person who is not the account': (record) => ({
    ...record,
    approvers: record.approvers.map((one) => ({ ...one, person: 'f'.repeat(64) })),
  }),
  'by an account that is not here': (record) => ({
    ...record,
    approvers: record.approvers.map((one) => ({ ...one, keyid: 'f'.repeat(64) })),
  }),
  'authenticated yesterday': (record) => ({
    ...record,
    approvers: record.approvers.map((one) => ({ ...one, authenticated: '2026-11-22T12:00:00Z' })),
  }),
  'authenticated tomorrow': (record) => ({
    ...record,
    approvers: record.approvers.map((one) => ({ ...one, authenticated: '2026-11-24T12:00:00Z' })),
  }),
};
for (const [name, change] of Object.entries(hostile))
  test(`refuses a record ${name}, and the plan stays as it was`, async () => {
    const { device, plan, kim } = await ready();
    const signed = signAnswer(device, approve(plan), kim);
    assert.throws(() => recordAnswer(device, bent(signed, kim, change)), { code: 'APPROVAL_RECORD' });
    assert.equal(readPlan(device, plan).state, 'offered');
    assert.equal(recordAnswer(device, signed).state, 'approved');
  });

test('refuses a record that lists a second person who did not sign', async () => {
  const { device, plan, kim, lee } = await ready();
  const signed = signAnswer(device, approve(plan, { transfer: true }), kim);
  const forged = bent(signed, kim, (record) => ({
    ...record,
    approvers: [{ ...record.approvers[0]!, keyid: lee.keyid }, record.approvers[0]!],
  }));
  assert.throws(() => recordAnswer(device, forged), { code: 'APPROVAL_RECORD_DIFFERS' });
});

test('refuses a second record that changes what the first person signed', async () => {
  const { device, plan, kim, lee } = await ready();
  const answer = approve(plan, { transfer: true });
  recordAnswer(device, signAnswer(device, answer, kim));
  const signed = signAnswer(device, answer, lee);
  for (const change of [
    (record: Approval) => ({ ...record, zone: 'Elsewhere/Else' }),
    (record: Approval) => ({
      ...record,
      approvers: [{ ...record.approvers[0]!, person: 'f'.repeat(64) }, record.approvers[1]!],
    }),
  ])
    assert.throws(() => recordAnswer(device, bent(signed, lee, change)), { code: 'APPROVAL_RECORD_DIFFERS' });
  assert.equal(recordAnswer(device, signed).state, 'approved');
});

test('refuses a record whose signature is not the account’s, or is not alone', async () => {
  const { device, plan, kim, lee } = await ready();
  const signed = signAnswer(device, approve(plan), kim);
  const { envelope } = signed;
  const others = signAnswer(device, approve(plan, { view: false }), kim).envelope.signatures;
  const [mine] = envelope.signatures;
  const wrong = [
    { ...envelope, signatures: others },
    { ...envelope, signatures: [{ ...mine!, keyid: lee.keyid }] },
    { ...envelope, signatures: [mine!, { ...mine!, keyid: lee.keyid }] },
    { ...envelope, payloadType: 'application/vnd.countersign.other+json' },
  ];
  for (const one of wrong)
    assert.throws(() => recordAnswer(device, { ...signed, envelope: one }), { code: 'APPROVAL_RECORD' });
  const other = 'application/vnd.countersign.other+json';
  assert.throws(
    () =>
      recordAnswer(
        device,
        bent(signed, kim, (record) => record, other),
      ),
    { code: 'APPROVAL_RECORD' },
  );
  recordAnswer(device, signed);
});

test('refuses a person whose name is not the account’s', async () => {
  const { device, plan, kim } = await ready();
  const signed = signAnswer(device, approve(plan), kim);
  for (const change of [{ account: 'lee' }, { printedName: 'Lee Jisoo' }, { salt: '00' }])
    assert.throws(() => recordAnswer(device, { ...signed, person: { ...signed.person, ...change } }), {
      code: 'APPROVAL_RECORD',
    });
  for (const change of [{ account: 'lee' }, { printedName: 'Lee Jisoo' }]) {
    const person = { ...signed.person, ...change };
    const commitment = personCommitment(person.salt, person.account, person.printedName);
    const forged = bent(signed, kim, (record) => ({
      ...record,
      approvers: record.approvers.map((one) => ({ ...one, person: commitment })),
    }));
    assert.throws(() => recordAnswer(device, { ...forged, person }), { code: 'APPROVAL_RECORD' });
  }
});

test('an account that is no technician may not approve', async () => {
  const { device, plan } = await ready();
  await addAccount(device, {
    name: 'admin',
    printedName: 'Ada Min',
    roles: ['administrator'],
    password,
    weakCostsForTests: { N: 16, r: 8, p: 1 },
  });
  const signed = signAnswer(device, approve(plan), await signIn(device, 'admin', password));
  assert.throws(() => recordAnswer(device, signed), { code: 'APPROVAL_RECORD' });
});

test('a record is in its canonical form', async () => {
  const { device, plan, kim } = await ready();
  const { envelope } = signAnswer(device, approve(plan), kim);
  approvalFormat.parse(Buffer.from(envelope.payload, 'base64'));
});
