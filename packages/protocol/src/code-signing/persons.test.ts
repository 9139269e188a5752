/** Who counts as a person behind a release. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codesignType, type CodesignAuthority } from '../authority/authority.ts';
import { checkTwoPersons } from './persons.ts';

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
