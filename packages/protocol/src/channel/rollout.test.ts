import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Rollout } from './channel.ts';
import { isEligible, rolloutPosition } from './rollout.ts';

const start = '2026-01-01T00:00:00Z';
const rollout = (...stages: [hours: number, percent: number][]): Rollout => ({
  start,
  stages: stages.map(([hours, percent]) => ({ hours, percent })),
});
const after = (hours: number): Date => new Date(Date.parse(start) + hours * 3_600_000);
const middle = 2 ** 31;

test('agrees with the vectors', () => {
  const vectors = JSON.parse(
    readFileSync(new URL('../../../../fixtures/vectors/rollout.json', import.meta.url), 'utf8'),
  ) as {
    positions: { seed: string; release: string; position: number }[];
    eligible: { rollout: Rollout; position: number; at: string; eligible: boolean }[];
  };
  assert.ok(vectors.positions.length >= 3 && vectors.eligible.length >= 8);
  for (const { seed, release, position } of vectors.positions)
    assert.equal(rolloutPosition(Buffer.from(seed, 'hex'), release), position);
  for (const one of vectors.eligible)
    assert.equal(isEligible(one.rollout, one.position, new Date(one.at)), one.eligible, JSON.stringify(one));
});

test('reaches nobody before the start and everybody at 100 percent', () => {
  assert.equal(isEligible(rollout([0, 100]), 0, after(-0.001)), false);
  assert.equal(isEligible(rollout([0, 100]), 2 ** 32 - 1, after(0)), true);
});

test('spreads linearly over a stage, the last one too', () => {
  const half = rollout([10, 100]);
  assert.equal(isEligible(half, middle, after(5)), false);
  assert.equal(isEligible(half, middle, new Date(after(5).getTime() + 1)), true);
  assert.equal(isEligible(half, middle - 1, after(5)), true);
});

test('stays at a stage of 0 percent and at the last percent', () => {
  assert.equal(isEligible(rollout([24, 0], [0, 50]), 0, after(23)), false);
  assert.equal(isEligible(rollout([1, 50]), middle, after(10_000)), false);
  assert.equal(isEligible(rollout([1, 50]), middle - 1, after(1)), true);
});

test('never takes back what it reached, while percents grow', () => {
  const stages = fc.array(fc.tuple(fc.nat({ max: 100 }), fc.nat({ max: 100 })), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      stages,
      fc.nat({ max: 2 ** 31 }),
      fc.nat({ max: 400 }),
      fc.nat({ max: 400 }),
      (given, position, early, later) => {
        const percents = given.map(([, percent]) => percent).sort((a, b) => a - b);
        const grown = rollout(...given.map(([hours], index): [number, number] => [hours, percents[index]!]));
        if (isEligible(grown, position * 2, after(early)))
          assert.ok(isEligible(grown, position * 2, after(early + later)));
      },
    ),
  );
});

test('refuses a seed or release of another size', () => {
  assert.throws(() => rolloutPosition(Buffer.alloc(31), '00'.repeat(32)), RangeError);
  assert.throws(() => rolloutPosition(Buffer.alloc(32), '00'), RangeError);
});
