import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalBytes, parseCanonical } from './canonical-json.ts';

const parse = (text: string): unknown => parseCanonical(Buffer.from(text), 'document', 1000);

test('reads back what it writes', () => {
  const value = { b: [1, 'ü\n'], a: { '': null, '😀': true } };
  assert.deepEqual(parse(canonicalBytes(value).toString()), value);
});

for (const [what, text, code] of [
  ['a duplicate key', '{"a":1,"a":1}', 'FORMAT_NOT_CANONICAL'],
  ['white space', '{"a": 1}', 'FORMAT_NOT_CANONICAL'],
  ['unsorted keys', '{"b":1,"a":1}', 'FORMAT_NOT_CANONICAL'],
  ['another number form', '{"a":1.0}', 'FORMAT_NOT_CANONICAL'],
  ['a lone surrogate', '{"a":"\\ud800"}', 'FORMAT_JSON'],
  ['a byte order mark', '\ufeff{}', 'FORMAT_JSON'],
  ['deep nesting', '['.repeat(65) + ']'.repeat(65), 'FORMAT_JSON'],
  ['too many bytes', `"${'x'.repeat(1000)}"`, 'FORMAT_TOO_LARGE'],
] as const)
  test(`refuses ${what}`, () => {
    assert.throws(() => parse(text), { code });
  });

test('refuses bytes that are not UTF-8', () => {
  assert.throws(() => parseCanonical(Buffer.from([0x22, 0xff, 0x22]), 'document', 10), { code: 'FORMAT_JSON' });
});

test('has no bytes for a value that JSON lacks', () => {
  for (const value of [undefined, () => 1, Number.NaN, ['\udc00'], { '\ud800': 1 }])
    assert.throws(() => canonicalBytes(value), { code: 'FORMAT_JSON' });
});
