import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { noRevocations } from '../channel/revocations.ts';
import type { Capability, Manifest } from '../release/manifest.ts';
import { sha256 } from '../text.ts';
import { decidePlan } from './decided-plan.ts';
import type { Candidate, PlanInput, RunningComponent } from './plan-input.ts';
import { computePlan, planDigest } from './planner.ts';

const capability = (id: string, more: Partial<Capability> = {}): Capability => ({
  id,
  contract: 1,
  risk: 'standard',
  required: false,
  scope: {},
  title: { en: id },
  description: { en: id },
  ...more,
});
const manifest = (name: string, version: string, more: Partial<Manifest> = {}): Manifest => ({
  name,
  version,
  platform: 'any',
  title: { en: name },
  requires: {},
  models: ['*'],
  capabilities: [],
  hooks: {},
  rollback: 'safe',
  ...more,
});
const releaseOf = (name: string, version: string): string => sha256(`${name} ${version}`);
const candidate = (
  name: string,
  version: string,
  more: Partial<Manifest> = {},
  offer: Partial<Candidate['offer']> = {},
): Candidate => ({
  offer: {
    component: name,
    version,
    platform: 'any',
    models: ['*'],
    release: releaseOf(name, version),
    urgency: 'routine',
    rollout: { start: '2026-01-01T00:00:00Z', stages: [{ hours: 0, percent: 100 }] },
    ...offer,
  },
  manifest: manifest(name, version, more),
  terms: more.terms ? { en: sha256('terms') } : {},
});
const installed = (name: string, version: string, more: Partial<Manifest> = {}): RunningComponent => ({
  component: name,
  version,
  platform: 'any',
  release: releaseOf(name, version),
  manifest: manifest(name, version, more),
});
const input = (more: Partial<PlanInput>): PlanInput => ({
  device: sha256('device'),
  model: 'Vi-CELL',
  generation: 0,
  installed: [],
  grants: [],
  candidates: [],
  highestCommitted: {},
  quarantined: new Set(),
  revocations: noRevocations,
  blockedReason: () => undefined,
  denialOf: () => undefined,
  approvers: { standard: 1, high: 1, phi: 2 },
  accepted: () => false,
  ...more,
});
const actions = (more: Partial<PlanInput>): Record<string, string> =>
  Object.fromEntries(
    (computePlan(input(more)).plan?.steps ?? []).map(({ component, action, to }) => [
      component,
      `${action} ${to?.version ?? ''}`.trim(),
    ]),
  );
const codes = (more: Partial<PlanInput>): string[] =>
  computePlan(input(more)).omitted.map(({ component, version, code }) =>
    [component, version, code].filter((part) => part !== '').join(' '),
  );

test('plans nothing where nothing is on offer', () => assert.equal(computePlan(input({})).plan, null));

test('installs the newest of each component, and updates what is there', () => {
  const candidates = [candidate('a', '1.0.0'), candidate('a', '1.2.0'), candidate('b', '2.0.0')];
  assert.deepEqual(actions({ candidates }), { a: 'install 1.2.0', b: 'install 2.0.0' });
  assert.deepEqual(actions({ candidates, installed: [installed('b', '1.0.0')] }), {
    a: 'install 1.2.0',
    b: 'update 2.0.0',
  });
});

test('does not plan what is installed', () => {
  assert.deepEqual(actions({ candidates: [candidate('a', '1.0.0')], installed: [installed('a', '1.0.0')] }), {});
});

test('takes the newest version whose requirements hold, with what it requires', () => {
  const needs = { requires: { base: '>=2 <3' } };
  const candidates = [candidate('app', '2.0.0', needs), candidate('app', '1.0.0'), candidate('base', '1.0.0')];
  assert.deepEqual(actions({ candidates }), { app: 'install 1.0.0', base: 'install 1.0.0' });
  assert.deepEqual(codes({ candidates }), ['app 2.0.0 PLAN_REQUIRES']);
  assert.deepEqual(actions({ candidates: [...candidates, candidate('base', '2.1.0')] }), {
    app: 'install 2.0.0',
    base: 'install 2.1.0',
  });
});

test('holds an update back that would break what is installed', () => {
  const app = installed('app', '1.0.0', { requires: { base: '>=1 <2' } });
  const more = { installed: [app, installed('base', '1.0.0')], candidates: [candidate('base', '2.0.0')] };
  assert.deepEqual(actions(more), {});
  assert.deepEqual(codes(more), ['base 2.0.0 PLAN_REQUIRES']);
});

test('plans a downgrade only where the channel says so, and shows it as one', () => {
  const down = { installed: [installed('a', '2.0.0')], highestCommitted: { a: '2.0.0' } };
  assert.deepEqual(codes({ ...down, candidates: [candidate('a', '1.0.0')] }), ['a 1.0.0 PLAN_DOWNGRADE']);
  assert.deepEqual(actions({ ...down, candidates: [candidate('a', '1.0.0', {}, { downgrade: true })] }), {
    a: 'downgrade 1.0.0',
  });
});

test('does not reinstall below what was once committed, also after a removal', () => {
  assert.deepEqual(codes({ highestCommitted: { a: '2.0.0' }, candidates: [candidate('a', '1.9.0')] }), [
    'a 1.9.0 PLAN_DOWNGRADE',
  ]);
});

for (const [what, more, code] of [
  [
    'a revoked release',
    { revocations: { ...noRevocations, releases: [{ release: releaseOf('a', '1.0.0'), reason: 'recall' }] } },
    'RELEASE_REVOKED',
  ],
  [
    'a version below the minimum',
    { revocations: { ...noRevocations, minimum: { a: '1.0.1' } } },
    'RELEASE_BELOW_MINIMUM',
  ],
  ['a blocked version', { blockedReason: () => 'crashes' }, 'RELEASE_BLOCKED'],
  ['a release that failed here', { quarantined: new Set([releaseOf('a', '1.0.0')]) }, 'RELEASE_QUARANTINED'],
] as [what: string, more: Partial<PlanInput>, code: string][])
  test(`leaves out ${what} with its reason`, () => {
    const candidates = [candidate('a', '1.0.0')];
    assert.deepEqual(actions({ candidates }), { a: 'install 1.0.0' });
    assert.deepEqual(actions({ candidates, ...more }), {});
    assert.deepEqual(codes({ candidates, ...more }), [`a 1.0.0 ${code}`]);
  });

test('leaves out a release for other models, a second release of one version, and one that needs what is denied', () => {
  assert.deepEqual(codes({ candidates: [candidate('a', '1.0.0', { models: ['Other'] })] }), ['a 1.0.0 PLAN_MODEL']);
  const again = candidate('a', '1.0.0', {}, { release: sha256('another') });
  assert.deepEqual(codes({ candidates: [again], installed: [installed('a', '1.0.0')] }), ['a 1.0.0 PLAN_SAME_VERSION']);
  const needs = candidate('a', '1.0.0', { capabilities: [capability('x', { required: true })] });
  assert.deepEqual(codes({ candidates: [needs], denialOf: () => ({ by: 'vendor', reason: 'no' }) }), [
    'a 1.0.0 PLAN_REQUIRED_DENIED',
  ]);
});

test('asks terms once', () => {
  const candidates = [candidate('a', '1.0.0', { terms: { version: '2025-01' } })];
  assert.equal(computePlan(input({ candidates })).plan?.steps[0]?.terms?.version, '2025-01');
  assert.equal(computePlan(input({ candidates, accepted: () => true })).plan?.steps[0]?.terms, undefined);
});

test('plans a requested capability for the release that runs, alone', () => {
  const a = installed('a', '1.0.0', { capabilities: [capability('x'), capability('y')] });
  const grants = ['x', 'y'].map((id) => ({
    component: 'a',
    capability: id,
    contract: 1,
    risk: 'standard' as const,
    scope: {},
    state: 'declined' as const,
  }));
  const more = {
    installed: [a],
    grants,
    candidates: [candidate('a', '2.0.0')],
    requests: [{ component: 'a', capability: 'x' }],
  };
  const { plan } = computePlan(input(more));
  assert.deepEqual(
    plan?.steps.map(({ action, decisions, to }) => [action, decisions.map((one) => one.capability), to?.version]),
    [['regrant', ['x'], '1.0.0']],
  );
  assert.deepEqual(codes({ ...more, requests: [{ component: 'a', capability: 'z' }] }), [
    'a 1.0.0 PLAN_NOTHING_TO_ASK',
  ]);
  assert.deepEqual(codes({ ...more, requests: [{ component: 'b', capability: 'x' }] }), ['b PLAN_NOT_INSTALLED']);
});

test('plans a removal unless another component needs it', () => {
  const base = installed('base', '1.0.0');
  assert.deepEqual(actions({ installed: [base], removals: ['base'] }), { base: 'remove' });
  const app = installed('app', '1.0.0', { requires: { base: '*' } });
  assert.deepEqual(actions({ installed: [base, app], removals: ['base'] }), {});
  assert.deepEqual(codes({ installed: [base, app], removals: ['base'] }), ['base PLAN_REQUIRES']);
});

test('refuses to try combinations without end', () => {
  const candidates = Array.from({ length: 12 }, (_, index) =>
    Array.from({ length: 8 }, (_unused, minor) =>
      candidate(`c${String(index).padStart(2, '0')}`, `1.${minor}.0`, { requires: index === 0 ? { c11: '>=9' } : {} }),
    ),
  ).flat();
  const impossible = [...candidates, ...[1, 2, 3].map((minor) => candidate('zz', `1.${minor}.0`))];
  const stuck = { installed: [installed('c00', '0.1.0', { requires: { c11: '>=9' } })], candidates: impossible };
  assert.throws(() => computePlan(input(stuck)), { code: 'PLAN_TOO_COMPLEX' });
});

test('gives the same bytes whatever the order of its input', () => {
  const candidates = [
    candidate('a', '1.0.0'),
    candidate('b', '1.0.0', { requires: { a: '>=1' } }),
    candidate('a', '1.1.0'),
    candidate('c', '3.0.0'),
  ];
  const expected = planDigest(computePlan(input({ candidates })).plan!);
  fc.assert(
    fc.property(fc.shuffledSubarray(candidates, { minLength: candidates.length }), (shuffled) => {
      assert.equal(planDigest(computePlan(input({ candidates: shuffled })).plan!), expected);
    }),
    { numRuns: 40 },
  );
});

test('an answer drops a component whose needed capability was kept off, and what needs its new version', () => {
  const candidates = [
    candidate('base', '2.0.0', { capabilities: [capability('x', { required: true }), capability('y')] }),
    candidate('app', '2.0.0', { requires: { base: '>=2' } }),
    candidate('other', '2.0.0', { capabilities: [capability('z')] }),
  ];
  const old = [installed('base', '1.0.0'), installed('app', '1.0.0', { requires: { base: '>=1' } })];
  const { plan } = computePlan(input({ candidates, installed: old }));
  const planned = new Map(candidates.map(({ offer, manifest: declared }) => [offer.component, declared]));
  const before = new Map(old.map(({ component, manifest: declared }) => [component, declared]));
  const answer = (on: readonly string[]) =>
    decidePlan(
      plan!,
      plan!.steps.flatMap(({ component, decisions }) =>
        decisions.map(({ capability: id, contract, scope }) => ({
          component,
          capability: id,
          contract,
          scope,
          grant: on.includes(id),
        })),
      ),
      before,
      planned,
    );
  const all = answer(['x', 'z']);
  assert.deepEqual(
    all.steps.map(({ step }) => step.component),
    ['app', 'base', 'other'],
  );
  assert.deepEqual(
    all.steps[1]!.grants.map((grant) => grant.capability),
    ['x'],
  );
  assert.deepEqual(
    all.steps[1]!.declined.map((grant) => grant.capability),
    ['y'],
  );
  const less = answer([]);
  assert.deepEqual(
    less.steps.map(({ step, grants }) => [step.component, grants.length]),
    [['other', 0]],
  );
  assert.deepEqual(less.dropped.map(({ component }) => component).sort(), ['app', 'base']);
});
