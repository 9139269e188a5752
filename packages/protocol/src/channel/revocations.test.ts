/** Revoked keys, certificates, releases and versions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkNotRevoked, revocationHits, revocationsType, type Revocations } from './revocations.ts';

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
