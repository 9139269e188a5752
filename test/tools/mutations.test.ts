import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutantsOf } from '../../tools/mutations.ts';

const taken = (source: string, judges = false): string[] =>
  mutantsOf(source, judges).map(({ line, text, value }) => `${line}: ${text} → ${value}`);

test('what throws is taken out, each alternative alone', () => {
  const source = ['if (a > 1 || (b || c === 2)) throw new Error();', 'if (a) {', '  note();', '  throw wrong();', '}'];
  assert.deepEqual(taken(source.join('\n')), [
    '1: a > 1 → false',
    '1: b → false',
    '1: c === 2 → false',
    '2: a → false',
  ]);
});

test('a condition that refuses what is not all so is taken apart too', () =>
  assert.deepEqual(taken('if (!(a && b)) throw new Error();'), ['1: a → true', '1: b → true']));

test('a branch that throws when all is so is taken out as a whole', () =>
  assert.deepEqual(taken('if (a && b) throw new Error();'), ['1: a && b → false']));

test('a mark makes a check of what returns, and of each operand of a chain', () => {
  assert.deepEqual(taken('if (a) return false; // check: it is there\nif (b) return true;'), ['1: a → false']);
  assert.deepEqual(taken('// checks: all of them\nreturn (a && b);'), ['2: a → true', '2: b → true']);
});

test('in a room that judges, every way out counts and every comparison', () => {
  assert.deepEqual(taken('if (a === 1) return null;\nfor (;;) if (b) continue;'), []);
  assert.deepEqual(taken('if (a === 1) return null;\nfor (;;) if (b) continue;', true), [
    '1: a === 1 → false',
    '2: b → false',
  ]);
  assert.deepEqual(taken('if (a.type === 1 && b < 2) return;', true), [
    '1: a.type === 1 && b < 2 → false',
    '1: a.type === 1 → true',
    '1: b < 2 → true',
  ]);
  assert.deepEqual(taken('const f = () => x.issuer === y && s.every((one) => one === 1);', true), [
    '1: x.issuer === y → true',
    '1: s.every((one) => one === 1) → true',
    '1: one === 1 → true',
  ]);
  assert.deepEqual(taken('const f = () => a === 1 || !b;', true), ['1: a === 1 → false', '1: !b → false']);
});

test('what only guards against an absent value is not a check', () =>
  assert.deepEqual(taken('const found = key && { key };\nconst other = key && keys[key];', true), []));

test('what cannot be noticed is left out, by its line or the one before', () => {
  assert.deepEqual(taken('if (a) throw b(); // equivalent: the next line tells'), []);
  assert.deepEqual(taken('// equivalent: the next line tells\nif (a) throw b();'), []);
  assert.deepEqual(taken('// equivalent: the next line tells\n\nif (a) throw b();'), ['3: a → false']);
});

test('a mutant is the whole source with that replaced', () => {
  const [mutant] = mutantsOf('const a = 1;\nif (\n  a ===\n  2\n) throw b();\n', false);
  assert.equal(mutant!.source, 'const a = 1;\nif (\n  false\n) throw b();\n');
  assert.deepEqual([mutant!.line, mutant!.lastLine], [3, 4]);
});
