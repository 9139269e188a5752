import assert from 'node:assert/strict';
import { test } from 'node:test';
import Type from 'typebox';
import { format } from './schema.ts';
import { MapOf, Texts } from './text.ts';

const closed = { additionalProperties: false } as const;
const document = format(
  'sample',
  Type.Object({ _type: Type.Literal('a'), map: MapOf(Type.String({ pattern: '^[a-z]+$' }), Type.Integer()) }, closed),
  200,
);
const parse = (text: string): unknown => document.parse(Buffer.from(text));

test('reads what it writes', () => {
  const value = { _type: 'a' as const, map: { b: 1 } };
  assert.deepEqual(document.parse(document.serialize(value)), value);
});

for (const [what, text] of [
  ['an unknown _type', '{"_type":"b","map":{}}'],
  ['an unknown field', '{"_type":"a","map":{},"more":1}'],
  ['a key outside its pattern', '{"_type":"a","map":{"A":1}}'],
  ['__proto__ as a key', '{"_type":"a","map":{"__proto__":1}}'],
  ['a missing field', '{"_type":"a"}'],
  ['a fraction', '{"_type":"a","map":{"b":1.5}}'],
] as const)
  test(`refuses ${what}`, () => assert.throws(() => parse(text), { code: 'FORMAT_SCHEMA' }));

test('does not write what it could not read', () => {
  assert.throws(() => document.serialize({ _type: 'a', map: { B: 1 } }), { code: 'FORMAT_SCHEMA' });
  const large = Object.fromEntries(Array.from({ length: 60 }, (_, index) => ['a'.repeat(index + 1), 1]));
  assert.throws(() => document.serialize({ _type: 'a', map: large }), { code: 'FORMAT_TOO_LARGE' });
});

test('texts need English and plain language tags', () => {
  const texts = format('texts', Texts(10));
  assert.deepEqual(texts.check({ en: 'a', 'zh-Hans': 'b' }), { en: 'a', 'zh-Hans': 'b' });
  assert.throws(() => texts.check({ ko: 'b' }), { code: 'FORMAT_SCHEMA' });
  assert.throws(() => texts.check({ en: 'a', English: 'b' }), { code: 'FORMAT_SCHEMA' });
});
