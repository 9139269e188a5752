/** The verdict over a release: each check refuses with its own code, and where two things are wrong their order decides. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeRelease, type ReleaseOptions } from '../../../../test/support/release-files.ts';
import { p256Key } from '../../../../test/support/signing-keys.ts';
import { codesignType, type CodesignAuthority } from '../authority/authority.ts';
import { noRevocations } from '../channel/revocations.ts';
import { releasePaths } from '../release/statement.ts';
import { sha256 } from '../text.ts';
import type { Target } from '../tuf/metadata.ts';
import { bundleFile } from './bundles.ts';
import { judgeRelease, type ReleaseInput } from './release-verdict.ts';

const key = p256Key();
const paths = releasePaths('app', '1.2.0', 'any');
const name = { component: 'app', version: '1.2.0', platform: 'any' };

type Input = { -readonly [K in Exclude<keyof ReleaseInput, 'evidence'>]: ReleaseInput[K] } & {
  evidence: { bundles: ReturnType<typeof bundleFile>; texts: Uint8Array; signers: string[]; listed: Listed | null };
};
type Listed = Record<string, { -readonly [K in keyof Target]: Target[K] }>;

/** A release that is good: Alice signed the role, Bob the code. */
function good(options: Partial<ReleaseOptions> = {}): Input {
  const { files, release } = makeRelease({ name: 'app', version: '1.2.0', ...options }, [key]);
  const entries = [...files].map(([path, bytes]) => [
    path,
    { length: bytes.length, hashes: { sha256: sha256(bytes) } },
  ]);
  return {
    name,
    release,
    evidence: {
      bundles: bundleFile(files.get(paths.bundles)!),
      texts: files.get(paths.texts)!,
      signers: ['alice-key'],
      listed: Object.fromEntries(entries) as Listed,
    },
    codesign: {
      _type: codesignType,
      authorities: {},
      identities: { release: { type: 'key', publicKey: key.key } },
      persons: {
        alice: { name: 'Alice', keys: ['alice-key'], identities: [] },
        bob: { name: 'Bob', keys: ['bob-key'], identities: ['release'] },
      },
      components: { '*': [{ role: 'release', identities: ['release'], threshold: 1 }] },
    } as unknown as CodesignAuthority,
    revocations: { ...noRevocations },
  };
}

test('a release with nothing wrong is good, named or not, listed or kept', () => {
  const input = good();
  const verdict = judgeRelease(input);
  assert.equal(verdict.release, input.release);
  assert.equal(verdict.texts.notes.en, 'app 1.2.0');
  assert.deepEqual(verdict.roles, { release: ['release'] });
  judgeRelease({ ...input, release: null });
  judgeRelease({ ...input, evidence: { ...input.evidence, listed: null } });
});

const revoke = (input: Input): void =>
  void (input.revocations.releases = [{ release: input.release!, reason: 'leaks' }]);

/** In the order of the checks: each is reported before all that follow. */
const faults: readonly (readonly [what: string, code: string, bend: (input: Input) => void])[] = [
  ['a revoked release', 'RELEASE_REVOKED', revoke],
  [
    'a version below the minimum',
    'RELEASE_BELOW_MINIMUM',
    ({ revocations }) => (revocations.minimum = { app: '2.0.0' }),
  ],
  ['bundles that are none', 'CODESIGN_BUNDLE', ({ evidence }) => (evidence.bundles = bundleFile(Buffer.from('x')))],
  [
    'a signer who is nobody',
    'CODESIGN_THRESHOLD',
    ({ codesign }) => (codesign.identities.release = { type: 'key', publicKey: p256Key().key }),
  ],
  ['another release than is named', 'OFFER_RELEASE', (input) => (input.release = '0'.repeat(64))],
  ['one person on both sides', 'CODESIGN_ONE_PERSON', ({ evidence }) => (evidence.signers = ['bob-key'])],
  [
    'other texts',
    'RELEASE_TEXTS',
    ({ evidence }) => (evidence.texts = Buffer.from(Buffer.from(evidence.texts).toString().replace('app 1', 'app 2'))),
  ],
  ['a file that is not listed', 'TRUST_DOCUMENT', ({ evidence }) => delete evidence.listed![paths.base]],
  ['a file with another length', 'DOWNLOAD_NOT_LISTED', ({ evidence }) => evidence.listed![paths.sbom]!.length++],
  [
    'a file with another digest',
    'DOWNLOAD_NOT_LISTED',
    ({ evidence }) => (evidence.listed![paths.texts]!.hashes = { sha256: '0'.repeat(64) }),
  ],
];

for (const [what, code, bend] of faults)
  test(`refuses ${what}`, () => {
    const input = good();
    bend(input);
    assert.throws(() => judgeRelease(input), { code });
  });

for (const [at, [first, code, bend]] of faults.entries())
  test(`tells ${first} before what is looked at later`, () => {
    for (const [, later, alsoBend] of faults.slice(at + 1)) {
      if (later === code || (code === 'RELEASE_REVOKED' && later === 'OFFER_RELEASE')) continue;
      const input = good();
      alsoBend(input);
      bend(input);
      assert.throws(() => judgeRelease(input), { code }, later);
    }
  });

test('refuses a statement of another release before it looks at what was named', () => {
  const input = good({
    bend: (statement) => Object.assign((statement.predicate as { manifest: object }).manifest, { version: '1.2.1' }),
  });
  input.release = '0'.repeat(64);
  assert.throws(() => judgeRelease(input), { code: 'RELEASE_STATEMENT' });
});

test('a release that nothing names is revoked by what its bundles sign', () => {
  const input = good();
  revoke(input);
  assert.throws(() => judgeRelease({ ...input, release: null }), { code: 'RELEASE_REVOKED' });
  input.revocations = { ...input.revocations, releases: [], minimum: { app: '1.2.1' } };
  assert.throws(() => judgeRelease({ ...input, release: null }), { code: 'RELEASE_BELOW_MINIMUM' });
});

test('a name from the prototype is not listed', () => {
  const input = good();
  const { [paths.base]: base, ...rest } = input.evidence.listed!;
  input.evidence.listed = Object.assign(Object.create({ [paths.base]: base }) as Listed, rest);
  assert.throws(() => judgeRelease(input), { code: 'TRUST_DOCUMENT' });
});

test('bundles are read once, however often they are asked for', () => {
  const { evidence } = good();
  assert.equal(evidence.bundles(), evidence.bundles());
});
