import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { binName, delegatedRole, delegatesOf, matchesPattern } from './delegation.ts';
import type { DelegatedRole, Delegations } from './metadata.ts';

const role = { keyids: ['a'], threshold: 1 };
const named = (name: string, more: Partial<DelegatedRole>): DelegatedRole => ({
  ...role,
  name,
  terminating: false,
  ...more,
});
const digest = (path: string): Buffer => createHash('sha256').update(path).digest();

for (const [path, pattern, fits] of [
  ['a/b.txt', 'a/*.txt', true],
  ['a/b.txt', 'a/*', true],
  ['a/b/c', 'a/*', false],
  ['a', 'a/*', false],
  ['a/', 'a/*', true],
  ['a/bc', 'a/b?', true],
  ['a/b', 'a/b?', false],
  ['a/b/', 'a/b?', false],
  ['a[1]', 'a[1]', true],
  ['a1', 'a[1]', false],
  ['ab', 'a{b,c}', false],
  ['.hidden', '*', true],
  ['', '*', true],
  ['aXbXc', '*b*', true],
  ['aaab', '*ab', true],
  ['aaac', '*ab', false],
  ['😀', '?', true],
  ['abc', 'abc**', true],
] as const)
  test(`${JSON.stringify(path)} ${fits ? 'fits' : 'does not fit'} ${pattern}`, () => {
    assert.equal(matchesPattern(path, pattern), fits);
  });

test('delegates come in order, and the first terminating one is the last', () => {
  const roles = [
    named('other', { paths: ['x/*'] }),
    named('first', { paths: ['b/*', 'a/*'] }),
    named('last', { paths: ['a/*'], terminating: true }),
    named('never', { paths: ['a/*'] }),
  ];
  assert.deepEqual(
    delegatesOf({ keys: {}, roles }, 'a/b').map(({ name }) => name),
    ['first', 'last'],
  );
  assert.deepEqual(delegatesOf({ keys: {}, roles }, 'c/b'), []);
  assert.deepEqual(delegatesOf({ keys: {} }, 'a/b'), []);
});

test('hash prefixes are of the sha256 of the path', () => {
  const hex = digest('a/b').toString('hex');
  const of = (...prefixes: string[]): number =>
    delegatesOf({ keys: {}, roles: [named('x', { path_hash_prefixes: prefixes })] }, 'a/b').length;
  assert.equal(of(hex.slice(0, 2)), 1);
  assert.equal(of('zz', hex), 1);
  assert.equal(of(hex.slice(1, 5)), 0);
  assert.equal(of(), 0);
});

test('succinct bins: the path’s first bits, names as wide as the last one, and no other name', () => {
  for (const bits of [1, 5, 8, 31, 32]) {
    const succinct: Delegations = { keys: {}, succinct_roles: { ...role, bit_length: bits, name_prefix: 'b' } };
    const [delegate, ...more] = delegatesOf(succinct, 'a/b');
    assert.deepEqual(more, []);
    assert.equal(delegate!.terminating, true);
    const number = Number(BigInt(`0x${digest('a/b').toString('hex')}`) >> BigInt(256 - bits));
    assert.equal(delegate!.name, binName('b', bits, number));
    assert.ok(delegatedRole(succinct, delegate!.name));
    assert.ok(delegatedRole(succinct, binName('b', bits, 2 ** bits - 1)));
  }
  const succinct: Delegations = { keys: {}, succinct_roles: { ...role, bit_length: 5, name_prefix: 'b' } };
  assert.equal(binName('b', 5, 31), 'b-1f');
  for (const name of ['b-20', 'b-1', 'b-001', 'b-1F', 'b-zz', 'b-', 'b', 'c-1f', 'bx1f', 'b-1f/'])
    assert.equal(delegatedRole(succinct, name), undefined, name);
});

test('a role that is not delegated to has no keys', () => {
  const roles = [named('x', { paths: [] })];
  assert.equal(delegatedRole({ keys: {}, roles }, 'x')?.role, roles[0]);
  assert.equal(delegatedRole({ keys: {}, roles }, 'y'), undefined);
  assert.equal(delegatedRole({ keys: {} }, 'y'), undefined);
});
