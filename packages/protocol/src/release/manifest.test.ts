/** What documents of a release must hold true of themselves beyond their schemas: each broken rule is refused by its own words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeRelease } from '../../../../test/support/release-files.ts';
import { p256Key } from '../../../../test/support/signing-keys.ts';
import { blockedReason, checkChannel, offerFits, channelType, type Channel } from '../channel/channel.ts';
import { checkManifest, hookProgram, textFor, type Manifest } from './manifest.ts';
import {
  archivesOf,
  checkStatement,
  readReleaseTexts,
  subjectOf,
  releasePaths,
  statementFormat,
  type Statement,
} from './statement.ts';

const capability = (id: string) => ({
  id,
  contract: 1,
  risk: 'standard' as const,
  required: false,
  scope: { area: ['logs'], from: 'all' },
  title: { en: id },
  description: { en: `what ${id} does` },
});
const manifest = (): Manifest => ({
  name: 'app',
  version: '1.2.0-rc.1',
  platform: 'linux-x64',
  title: { en: 'App' },
  requires: { runtime: '>=1 <3' },
  models: ['Navios', 'Navios EX'],
  capabilities: [capability('view'), capability('transfer')],
  hooks: { start: [['${component:runtime}/bin/node', 'main.js'], 10], stop: [['bin/stop'], 5] },
  rollback: 'safe',
});

const manifests: readonly (readonly [name: string, field: string, change: (it: Manifest) => void, says: RegExp])[] = [
  ['a bidirectional override in a title', 'title.en', (it) => (it.title.en = 'a\u202eb'), /control, invisible/],
  ['a control in a model', 'models.0', (it) => (it.models[0] = 'a\u0007'), /control, invisible/],
  [
    'a control in a description',
    'capabilities.view.description.en',
    (it) => (it.capabilities[0]!.description.en = '\u200b'),
    /invisible/,
  ],
  [
    'a control in a capability’s title',
    'capabilities.view.title.en',
    (it) => (it.capabilities[0]!.title.en = '\u0000'),
    /control/,
  ],
  [
    'a control in a scope',
    'capabilities.view.scope.from',
    (it) => (it.capabilities[0]!.scope.from = 'a\u2028b'),
    /control/,
  ],
  [
    'a control in a list of a scope',
    'capabilities.view.scope.area',
    (it) => (it.capabilities[0]!.scope.area = ['a', 'b\u001b']),
    /control/,
  ],
  ['a control in a hook', 'hooks.start.1', (it) => (it.hooks.start![0][1] = 'a\u0000'), /control/],
  ['a version that is written otherwise', 'version', (it) => (it.version = 'v1.2.0'), /not a semantic version/],
  ['a version of two parts', 'version', (it) => (it.version = '1.2'), /not a semantic version/],
  ['a requirement of itself', 'requires.app', (it) => (it.requires.app = '*'), /names the component itself/],
  [
    'a requirement that is no range',
    'requires.runtime',
    (it) => (it.requires.runtime = 'newest'),
    /not a semver range/,
  ],
  ['every model beside one', 'models', (it) => it.models.push('*'), /\* beside other models/],
  ['a capability twice', 'capabilities', (it) => it.capabilities.push(capability('view')), /has view twice/],
  [
    'a program of a component that is not required',
    'hooks.start',
    (it) => (it.requires = {}),
    /of runtime, which is not required/,
  ],
  [
    'a program outside of the base',
    'hooks.stop',
    (it) => (it.hooks.stop![0][0] = '../stop'),
    /not name a path inside the base/,
  ],
  ['an absolute program', 'hooks.stop', (it) => (it.hooks.stop![0][0] = '/bin/sh'), /not name a path inside the base/],
  [
    'a program outside of another’s base',
    'hooks.start',
    (it) => (it.hooks.start![0][0] = '${component:runtime}/../x'),
    /inside the base/,
  ],
  ['a batch file', 'hooks.stop', (it) => (it.hooks.stop![0][0] = 'bin/stop.BAT'), /names a batch file/],
  [
    'a command file of another component',
    'hooks.start',
    (it) => (it.hooks.start![0][0] = '${component:runtime}/a.cmd'),
    /names a batch file/,
  ],
];
test('a manifest that agrees with itself is taken', () => {
  checkManifest(manifest());
  checkManifest({ ...manifest(), models: ['*'], hooks: {} });
});
for (const [name, field, change, says] of manifests)
  test(`refuses a manifest with ${name}`, () => {
    const bent = manifest();
    change(bent);
    assert.throws(
      () => checkManifest(bent),
      (error: { code?: string; message: string; context?: { field: string } }) => {
        assert.equal(error.code, 'RELEASE_MANIFEST');
        assert.match(error.message, says);
        assert.equal(error.context?.field, field);
        return true;
      },
    );
  });

test('a hook’s program lies in the own base or in another’s', () => {
  assert.deepEqual(hookProgram('bin/a'), { component: null, path: 'bin/a' });
  assert.deepEqual(hookProgram('${component:runtime}/bin/a'), { component: 'runtime', path: 'bin/a' });
  assert.deepEqual(hookProgram('${component:Runtime}/a').component, null);
});

test('a text comes in the language asked for, its base language, English, or whatever there is', () => {
  const texts = { en: 'e', ko: 'k', de: 'd' };
  assert.deepEqual(
    ['ko', 'ko-KR', 'fr', 'en-GB'].map((language) => textFor(texts, language)),
    ['k', 'k', 'e', 'e'],
  );
  assert.equal(textFor({ ja: 'j' }, 'fr'), 'j');
  assert.equal(textFor({}, 'fr'), '');
  assert.equal(textFor({ en: 'e' }, 'constructor'), 'e');
});

const offer = () => ({
  component: 'app',
  version: '1.0.0',
  platform: 'any' as const,
  models: ['Navios'],
  release: '0'.repeat(64),
  urgency: 'routine' as const,
  rollout: {
    start: '2026-01-01T00:00:00Z',
    stages: [
      { hours: 1, percent: 10 },
      { hours: 1, percent: 10 },
    ],
  },
});
const channel = (): Channel => ({ _type: channelType, channel: 'stable', offers: [offer()], blocked: [] });

test('a channel: its own name, each release once, models that agree, stages that never shrink', () => {
  checkChannel(channel(), 'stable');
  checkChannel(
    { ...channel(), offers: [offer(), { ...offer(), platform: 'win32-x64' }, { ...offer(), version: '1.0.1' }] },
    'stable',
  );
  const refused = (bent: Channel, message: RegExp): void =>
    assert.throws(() => checkChannel(bent, 'stable'), { code: 'CHANNEL_RULES', message });
  refused({ ...channel(), channel: 'beta' }, /calls itself beta/);
  refused({ ...channel(), offers: [offer(), { ...offer(), release: '1'.repeat(64) }] }, /offers app 1\.0\.0 any twice/);
  refused({ ...channel(), offers: [{ ...offer(), models: ['*', 'Navios'] }] }, /\* beside other models/);
  const stages = [
    { hours: 1, percent: 50 },
    { hours: 1, percent: 49 },
  ];
  refused(
    { ...channel(), offers: [{ ...offer(), rollout: { ...offer().rollout, stages } }] },
    /fewer devices in a later stage/,
  );
});

test('an offer fits a model and a platform; a block has its reason', () => {
  assert.ok(offerFits(offer(), 'Navios', 'win32-x64'));
  assert.ok(offerFits({ models: ['*'], platform: 'win32-x64' }, 'Other', 'win32-x64'));
  assert.equal(offerFits(offer(), 'Other', 'win32-x64'), false);
  assert.equal(offerFits({ models: ['*'], platform: 'win32-x64' }, 'Navios', 'linux-x64'), false);
  const blocked = { ...channel(), blocked: [{ component: 'app', version: '1.0.0', reason: 'broken' }] };
  assert.equal(blockedReason(blocked, 'app', '1.0.0'), 'broken');
  assert.equal(blockedReason(blocked, 'app', '1.0.1'), undefined);
  assert.equal(blockedReason(blocked, 'other', '1.0.0'), undefined);
});

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
