import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Capability, Manifest } from '../release/manifest.ts';
import { diffCapabilities, type Grant } from './capability-diff.ts';
import { effectiveCapabilities } from './effective.ts';
import { compareScopes } from './scope.ts';

const declared: Capability = {
  id: 'file-transfer',
  contract: 1,
  risk: 'high',
  required: false,
  scope: { area: ['logs'], direction: ['download'] },
  title: { en: 'File transfer' },
  description: { en: 'Moves files' },
};
const manifest = (...capabilities: Capability[]): Manifest => ({
  name: 'remote-support',
  version: '2.0.0',
  platform: 'any',
  title: { en: 'x' },
  requires: {},
  models: ['*'],
  capabilities,
  hooks: {},
  rollback: 'safe',
});
const grant = (more: Partial<Grant> = {}): Grant => ({
  component: 'remote-support',
  capability: declared.id,
  contract: declared.contract,
  risk: declared.risk,
  scope: declared.scope,
  state: 'granted',
  ...more,
});
const nobody = () => undefined;
const changeOf = (capability: Capability, before?: Grant, requested: string[] = []) => {
  const diff = diffCapabilities(manifest(capability), before ? [before] : [], nobody, new Set(requested));
  return diff.decisions[0]?.change ?? (diff.kept.length > 0 ? 'kept' : diff.off.length > 0 ? 'off' : 'none');
};

for (const [what, capability, before, expected] of [
  ['what was never decided', declared, undefined, 'new'],
  ['the same as granted', declared, grant(), 'kept'],
  ['less than granted', { ...declared, scope: { area: [], direction: ['download'] } }, grant(), 'kept'],
  [
    'a further area',
    { ...declared, scope: { area: ['logs', 'results'], direction: ['download'] } },
    grant(),
    'widened',
  ],
  ['another area', { ...declared, scope: { area: ['results'], direction: ['download'] } }, grant(), 'widened'],
  ['an unknown key', { ...declared, scope: { ...declared.scope, host: 'x' } }, grant(), 'widened'],
  ['a key that is gone', { ...declared, scope: { area: ['logs'] } }, grant(), 'widened'],
  ['another contract', { ...declared, contract: 2 }, grant(), 'contract-changed'],
  ['an older contract', { ...declared, contract: 1 }, grant({ contract: 2 }), 'contract-changed'],
  ['a higher risk', { ...declared, risk: 'phi' }, grant(), 'risk-raised'],
  ['a lower risk', { ...declared, risk: 'standard' }, grant(), 'kept'],
  ['the same as declined', declared, grant({ state: 'declined' }), 'off'],
  ['the same as revoked', declared, grant({ state: 'revoked' }), 'off'],
  ['the same as suspended by a rollback', declared, grant({ state: 'suspended' }), 'off'],
  ['more than was declined', { ...declared, contract: 2 }, grant({ state: 'declined' }), 'contract-changed'],
] as const)
  test(`${what}: ${expected}`, () => assert.equal(changeOf(declared && (capability as Capability), before), expected));

test('asks again for what was refused when it is requested, or needed', () => {
  assert.equal(changeOf(declared, grant({ state: 'declined' }), ['file-transfer']), 'requested');
  assert.equal(changeOf({ ...declared, required: true }, grant({ state: 'declined' })), 'requested');
  assert.equal(changeOf(declared, grant(), ['file-transfer']), 'kept');
});

test('what is no longer declared is closed, and a denied one is never asked nor kept', () => {
  const closed = diffCapabilities(manifest(), [grant()], nobody);
  assert.deepEqual(closed.closed, ['file-transfer']);
  const denied = diffCapabilities(
    manifest(declared),
    [grant()],
    () => ({ by: 'vendor', reason: 'no' }),
    new Set(['file-transfer']),
  );
  assert.deepEqual(
    [denied.decisions, denied.kept, denied.denied],
    [[], [], [{ capability: 'file-transfer', by: 'vendor', reason: 'no' }]],
  );
});

test('is open only what is granted as declared and denied by nobody', () => {
  const open = (before: Grant[], denied = false, capability = declared): string[] =>
    effectiveCapabilities(manifest(capability), before, () => (denied ? { by: 'site', reason: 'no' } : undefined)).map(
      ({ id }) => id,
    );
  assert.deepEqual(open([grant()]), ['file-transfer']);
  assert.deepEqual(open([]), []);
  for (const state of ['declined', 'revoked', 'suspended'] as const) assert.deepEqual(open([grant({ state })]), []);
  assert.deepEqual(open([grant()], true), []);
  assert.deepEqual(open([grant()], false, { ...declared, contract: 2 }), []);
  assert.deepEqual(
    open([grant()], false, { ...declared, scope: { area: ['logs', 'x'], direction: ['download'] } }),
    [],
  );
});

const scopes = fc.dictionary(
  fc.constantFrom('a', 'b', 'c'),
  fc.oneof(fc.uniqueArray(fc.constantFrom('x', 'y', 'z')), fc.boolean(), fc.integer({ min: 0, max: 2 })),
);

test('nothing silent ever reaches beyond what was granted', () => {
  fc.assert(
    fc.property(scopes, scopes, (before, after) => {
      if (compareScopes(before, after) === 'widened') return;
      assert.deepEqual(Object.keys(after).sort(), Object.keys(before).sort());
      for (const [key, value] of Object.entries(after)) {
        const was = before[key];
        if (Array.isArray(value)) assert.ok(value.every((item) => (was as string[]).includes(item)));
        else assert.equal(value, was);
      }
    }),
  );
});

test('a scope equals itself in any order', () => {
  fc.assert(
    fc.property(scopes, (scope) =>
      assert.equal(compareScopes(scope, Object.fromEntries(Object.entries(scope).reverse())), 'equal'),
    ),
  );
});
