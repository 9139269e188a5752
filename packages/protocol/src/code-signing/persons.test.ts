/** What is no longer believed, and who counts as a signer and as a person. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { codesignType, type CodesignAuthority } from '../authority/authority.ts';
import { checkNotRevoked, revocationHits, revocationsType, type Revocations } from '../channel/revocations.ts';
import { checkTwoPersons } from './persons.ts';
import { matchRoles } from './threshold-matching.ts';

test('revocations: a release, everything below a minimum, signatures from a time on', () => {
  const revocations: Revocations = {
    _type: revocationsType,
    certificates: [],
    keys: [],
    releases: [{ release: 'a'.repeat(64), reason: 'leaks \u001b[2J' }],
    minimum: { app: '1.5.0' },
  };
  const check = (digest: string, component: string, version: string) => () =>
    checkNotRevoked(revocations, digest.repeat(64), component, version);
  check('b', 'app', '1.5.0')();
  check('b', 'other', '0.1.0')();
  check('b', 'constructor', '0.1.0')();
  assert.throws(check('a', 'other', '9.0.0'), { code: 'RELEASE_REVOKED', message: /is revoked: leaks [^\u001b]*$/ });
  assert.throws(check('b', 'app', '1.5.0-rc.1'), { code: 'RELEASE_BELOW_MINIMUM' });
  const at = (text: string): Date => new Date(text);
  const entry = { effective: '2026-02-01T00:00:00Z' };
  assert.equal(revocationHits({}, [at('2020-01-01T00:00:00Z')]), true);
  assert.equal(revocationHits(entry, []), true);
  assert.equal(revocationHits(entry, [at('2026-01-31T23:59:59Z')]), false);
  assert.equal(revocationHits(entry, [at('2026-02-01T00:00:00Z')]), true);
  assert.equal(revocationHits(entry, [at('2026-01-01T00:00:00Z'), at('2026-03-01T00:00:00Z')]), true);
});

test('two people stand behind a release, at least one on each side', () => {
  const authority = {
    _type: codesignType,
    persons: { alice: { keys: ['ka'], identities: ['ia'] }, bob: { keys: ['kb'], identities: ['ib'] } },
  } as unknown as CodesignAuthority;
  const check = (keys: string[], identities: string[]) => () => checkTwoPersons(authority, 'app', keys, identities);
  assert.deepEqual(check(['ka'], ['ib'])(), ['alice', 'bob']);
  assert.deepEqual(check(['ka', 'kb', 'unknown'], ['ia'])(), ['alice', 'bob']);
  const refused = { code: 'CODESIGN_ONE_PERSON' };
  assert.throws(check(['ka'], ['ia']), refused);
  assert.throws(check(['ka', 'kb'], []), refused);
  assert.throws(check([], ['ia', 'ib']), refused);
  assert.throws(check(['ka', 'kb'], ['unknown']), refused);
  assert.throws(check(['unknown'], ['ia', 'ib']), refused);
  assert.throws(check([], []), { ...refused, message: /no known people/ });
});

test('roles are filled by different signers wherever that is possible at all', () => {
  const signer = (identity: string, spki = identity) => ({ identity, spki });
  const roles = [
    { role: 'build', identities: ['a', 'b'], threshold: 1 },
    { role: 'release', identities: ['a'], threshold: 1 },
  ];
  assert.deepEqual(matchRoles([signer('a'), signer('b')], roles), {
    filled: { build: ['b'], release: ['a'] },
    short: [],
  });
  assert.deepEqual(matchRoles([signer('a')], roles).short.length, 1);
  // One key under two identities, or one identity with two keys, is one signer.
  assert.deepEqual(matchRoles([signer('a', 'k'), signer('b', 'k')], roles).short.length, 1);
  assert.deepEqual(
    matchRoles([signer('a', 'k'), signer('a', 'l')], [{ role: 'r', identities: ['a'], threshold: 2 }]).short,
    [{ role: 'r', have: 1, need: 2 }],
  );
});

test('matching finds a filling exactly where trying everything finds one', () => {
  const identity = fc.constantFrom('a', 'b', 'c', 'd');
  const role = fc.record({
    identities: fc.uniqueArray(identity, { minLength: 1 }),
    threshold: fc.integer({ min: 1, max: 2 }),
  });
  fc.assert(
    fc.property(fc.uniqueArray(identity), fc.array(role, { minLength: 1, maxLength: 3 }), (signed, wanted) => {
      const roles = wanted.map((one, index) => ({ ...one, role: `r${index}` }));
      const places = roles.flatMap(({ identities, threshold }) => Array.from({ length: threshold }, () => identities));
      const can = (place: number, left: readonly string[]): boolean =>
        place === places.length ||
        left.some(
          (id) =>
            (places[place] as readonly string[]).includes(id) &&
            can(
              place + 1,
              left.filter((other) => other !== id),
            ),
        );
      const { short } = matchRoles(
        signed.map((id) => ({ identity: id, spki: id })),
        roles,
      );
      assert.equal(short.length === 0, can(0, signed));
    }),
  );
});
