/** The rules of a manifest beyond its schema: each broken rule is refused with its own words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkManifest, hookProgram, textFor, type Manifest } from './manifest.ts';

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
