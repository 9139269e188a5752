/** The rules of a statement and of the texts that it signs: each broken rule is refused with its own words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeRelease } from '../../../../test/support/release-files.ts';
import { p256Key } from '../../../../test/support/signing-keys.ts';
import {
  archivesOf,
  checkStatement,
  readReleaseTexts,
  subjectOf,
  releasePaths,
  statementFormat,
  type Statement,
} from './statement.ts';

const paths = releasePaths('app', '1.0.0', 'any');
const name = { component: 'app', version: '1.0.0', platform: 'any' };
const archive = { bytes: Buffer.from('packed'), unpacked: 3, files: 1 };
const release = makeRelease(
  {
    name: 'app',
    version: '1.0.0',
    capabilities: [{ id: 'transfer', archive }, { id: 'view' }],
    notes: { en: 'better', ko: '더 나은' },
    terms: { version: '1', texts: { en: 'be careful' } },
  },
  [p256Key()],
);
const statement = (): Statement => statementFormat.parse(release.statement);
const subject = (it: Statement, path: string) => it.subject.find((one) => one.name === path)!;

const statements: readonly (readonly [name: string, change: (it: Statement) => void, says: RegExp])[] = [
  ['another component', (it) => (it.predicate.manifest.name = 'other'), /is for other/],
  ['another version', (it) => (it.predicate.manifest.version = '1.0.1'), /is for version 1\.0\.1/],
  ['another platform', (it) => (it.predicate.manifest.platform = 'win32-x64'), /is for win32-x64/],
  ['subjects in another order', (it) => it.subject.reverse(), /sorted and once/],
  ['a subject twice', (it) => it.subject.splice(1, 0, it.subject[0]!), /sorted and once/],
  ...[paths.base, paths.sbom, paths.texts].map(
    (path) =>
      [
        `nothing about ${path}`,
        (it: Statement) => void it.subject.splice(it.subject.indexOf(subject(it, path)), 1),
        new RegExp(`lacks ${path.replaceAll('.', '\\.')}`),
      ] as const,
  ),
  [
    'a file that is none of it',
    (it) => it.subject.push({ ...subject(it, paths.sbom), name: 'z' }),
    /names z, which is no file of it/,
  ],
  [
    'an archive of a capability that is not declared',
    (it) => it.predicate.manifest.capabilities.shift(),
    /cap-transfer\.tar\.zst, which is no file/,
  ],
  [
    'an archive without its unpacked bytes',
    (it) => delete subject(it, paths.base).annotations.unpacked,
    /how much .*base\.tar\.zst unpacks to/,
  ],
  [
    'an archive without its number of files',
    (it) => delete subject(it, paths.base).annotations.files,
    /how much .*base\.tar\.zst unpacks to/,
  ],
  [
    'texts described as an archive',
    (it) => (subject(it, paths.texts).annotations.unpacked = 1),
    /describes .*texts\.json as an archive/,
  ],
  [
    'an SBOM described as an archive',
    (it) => (subject(it, paths.sbom).annotations.files = 1),
    /describes .*sbom\.cdx\.json as an archive/,
  ],
  ['terms without a version', (it) => delete it.predicate.manifest.terms, /terms without a version/],
  ['a version without terms', (it) => (it.predicate.terms = {}), /version without terms/],
  ['no English terms', (it) => (it.predicate.terms = { ko: '0'.repeat(64) }), /lacks the terms in English/],
];
test('a statement names exactly the published files of its release', () => {
  checkStatement(statement(), name);
  assert.equal(subjectOf(statement(), paths.base).name, paths.base);
  assert.throws(() => subjectOf(statement(), 'other'), { code: 'RELEASE_STATEMENT' });
  const of = (...granted: string[]) => archivesOf(statement(), new Set(granted)).map(({ capability: id }) => id);
  assert.deepEqual(of(), [null]);
  assert.deepEqual(of('transfer', 'view', 'unknown'), [null, 'transfer']);
});
for (const [what, change, says] of statements)
  test(`refuses a statement with ${what}`, () => {
    const bent = statement();
    change(bent);
    assert.throws(() => checkStatement(bent, name), { code: 'RELEASE_STATEMENT', message: says });
  });
test('refuses a statement whose manifest does not agree with itself', () => {
  const bent = statement();
  bent.predicate.manifest.requires = { app: '*' };
  assert.throws(() => checkStatement(bent, name), { code: 'RELEASE_MANIFEST' });
});

test('release texts are the signed ones, in the signed languages, and harmless', () => {
  const bytes = release.files.get(paths.texts)!;
  assert.equal(readReleaseTexts(statement(), bytes).notes.ko, '더 나은');
  const refused = (change: (it: Statement) => void, message: RegExp, other = bytes): void => {
    const bent = statement();
    change(bent);
    assert.throws(() => readReleaseTexts(bent, other), { code: 'RELEASE_TEXTS', message });
  };
  refused((it) => delete it.predicate.notes.ko, /notes are in other languages/);
  refused((it) => (it.predicate.terms.ko = '0'.repeat(64)), /terms are in other languages/);
  refused((it) => (it.predicate.notes.en = '0'.repeat(64)), /notes in en differ/);
  const hidden = makeRelease({ name: 'app', version: '1.0.0', notes: { en: 'a\u202eb' } }, [p256Key()]);
  assert.throws(() => readReleaseTexts(statementFormat.parse(hidden.statement), hidden.files.get(paths.texts)!), {
    code: 'RELEASE_TEXTS',
    message: /control, invisible or bidirectional/,
  });
});
