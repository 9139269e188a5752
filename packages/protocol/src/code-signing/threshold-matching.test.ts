/** Who counts for which role. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchRoles } from './threshold-matching.ts';

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
