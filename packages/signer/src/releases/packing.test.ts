/** Packing: what a component folder becomes, what is refused, and that no partial or temporary file stays behind. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { manifestFormat, readReleaseTexts, sha256, type Manifest } from '@countersign/protocol';
import { writeComponents } from '../../../../fixtures/component-folders.ts';
import { commandOutput } from '../../../../test/support/command-output.ts';
import { bundleLine, p256Key } from '../../../../test/support/signing-keys.ts';
import {
  bundlesFile,
  findArtifact,
  listArtifacts,
  readArtifact,
  verifyArtifact,
  withArtifactLock,
} from './artifacts.ts';
import { packComponent } from './packing.ts';

const root = mkdtempSync(join(tmpdir(), 'countersign-packing-'));
after(() => rmSync(root, { recursive: true, force: true }));
const sample = writeComponents(join(root, 'sample'), { only: ['remote-support@2.1.0'], platform: 'linux-x64' })[0]!;
let count = 0;
let workspace: string;
let folder: string;
beforeEach(() => {
  workspace = join(root, `workspace-${++count}`);
  folder = join(root, `component-${count}`);
  cpSync(sample, folder, { recursive: true });
});

const pack = (existing: 'refuse' | 'replace' = 'refuse') => packComponent({ workspace, folder, existing });
const write = (path: string, text: string | Buffer): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};
const editManifest = (change: (manifest: Manifest) => void): void => {
  const manifest = manifestFormat.check(JSON.parse(readFileSync(join(folder, 'component.json'), 'utf8')));
  change(manifest);
  write('component.json', JSON.stringify(manifest, null, 2));
};
const release = { component: 'remote-support', version: '2.1.0', platform: 'linux-x64' } as const;
const released = (): string => join(workspace, 'artifacts', 'remote-support', '2.1.0');
/** What is in artifacts, except the lock. */
const left = (): string[] =>
  existsSync(join(workspace, 'artifacts'))
    ? readdirSync(join(workspace, 'artifacts')).filter((name) => name !== '.lock.db')
    : [];

test('makes every published file, and a statement that names them', async () => {
  const { artifact, outcome } = await pack();
  assert.equal(outcome, 'packed');
  assert.deepEqual(readdirSync(released()), [
    'linux-x64.base.tar.zst',
    'linux-x64.cap-file-transfer.tar.zst',
    'linux-x64.sbom.cdx.json',
    'linux-x64.statement.json',
    'linux-x64.texts.json',
  ]);
  assert.equal(artifact.release, sha256(readFileSync(join(released(), 'linux-x64.statement.json'))));
  const texts = readReleaseTexts(artifact.statement, readFileSync(join(released(), 'linux-x64.texts.json')));
  assert.deepEqual(Object.keys(texts.notes), ['en', 'ko']);
  assert.match(texts.terms.en!, /./);
  assert.deepEqual(listArtifacts(workspace), [release]);
  assert.deepEqual(left(), ['remote-support']);
});

test('the SBOM lists every file with its digest', async () => {
  await pack();
  const sbom = JSON.parse(readFileSync(join(released(), 'linux-x64.sbom.cdx.json'), 'utf8')) as {
    specVersion: string;
    serialNumber: string;
    components: { name: string; hashes: { content: string }[] }[];
  };
  assert.equal(sbom.specVersion, '1.6');
  assert.match(sbom.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const listed = new Map(sbom.components.map(({ name, hashes }) => [name, hashes[0]!.content]));
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /component-\d+.(base|capabilities)/.test(entry.parentPath))
    .map((entry) => join(entry.parentPath, entry.name));
  assert.equal(listed.size, files.length);
  for (const file of files)
    assert.equal(listed.get(file.slice(folder.length + 1).replaceAll('\\', '/')), sha256(readFileSync(file)), file);
});

test('takes the SBOM that came with the component, byte by byte, when it is CycloneDX', async () => {
  const own = '{ "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 3 }\n';
  write('sbom.cdx.json', own);
  await pack();
  assert.equal(readFileSync(join(released(), 'linux-x64.sbom.cdx.json'), 'utf8'), own);
  for (const bad of [
    '',
    '[]',
    'null',
    '{"bomFormat":"SPDX","specVersion":"1.6"}',
    '{"bomFormat":"CycloneDX","specVersion":"1.2"}',
    '{"bomFormat":"CycloneDX","specVersion":1.6}',
  ]) {
    write('sbom.cdx.json', bad);
    await assert.rejects(pack(), { code: 'PACK_SBOM' }, bad);
  }
});

test('the same folder gives the same bytes, in another place and whatever its times and modes', async () => {
  const first = await pack();
  const bytes = first.artifact.files.map(({ file }) => readFileSync(file));
  const moved = join(root, 'moved');
  cpSync(folder, moved, { recursive: true });
  chmodSync(join(moved, 'base', 'version.json'), 0o755);
  const second = await packComponent({ workspace: join(root, 'other-workspace'), folder: moved });
  assert.equal(second.artifact.release, first.artifact.release);
  second.artifact.files.forEach(({ file }, index) => assert.deepEqual(readFileSync(file), bytes[index]));
});

test('packing again changes nothing, and mends what was damaged', async () => {
  await pack();
  assert.equal((await pack()).outcome, 'unchanged');
  const artifact = readArtifact(workspace, release);
  writeFileSync(artifact.files[0]!.file, 'damaged');
  await assert.rejects(verifyArtifact(artifact), { code: 'ARTIFACT_DAMAGED' });
  assert.equal((await pack()).outcome, 'unchanged');
  await verifyArtifact(artifact);
});

test('other contents under the same version are refused, replaced only when asked, and never once signed', async () => {
  const first = await pack();
  write('base/bin/status.mjs', 'changed');
  await assert.rejects(pack(), { code: 'ARTIFACT_EXISTS' });
  assert.equal(readArtifact(workspace, release).release, first.artifact.release);
  rmSync(join(folder, 'capabilities'), { recursive: true });
  const second = await pack('replace');
  assert.equal(second.outcome, 'replaced');
  assert.notEqual(second.artifact.release, first.artifact.release);
  assert.equal(readdirSync(released()).includes('linux-x64.cap-file-transfer.tar.zst'), false);
  write('base/bin/status.mjs', 'changed again');
  writeFileSync(bundlesFile(workspace, release), bundleLine(second.artifact.statementBytes, p256Key()));
  await assert.rejects(pack('replace'), { code: 'ARTIFACT_SIGNED' });
  // Nor if the statement was removed.
  unlinkSync(join(released(), 'linux-x64.statement.json'));
  await assert.rejects(pack('replace'), { code: 'ARTIFACT_SIGNED' });
  writeFileSync(bundlesFile(workspace, release), 'damaged\n');
  await assert.rejects(pack('replace'), { code: 'ARTIFACT_DAMAGED' });
});

test('several platforms of one version stand beside each other', async () => {
  await pack();
  editManifest((manifest) => void (manifest.platform = 'win32-x64'));
  await pack();
  assert.equal(listArtifacts(workspace).length, 2);
  assert.throws(() => findArtifact(workspace, 'remote-support@2.1.0'), { code: 'ARTIFACT_NAME' });
  assert.deepEqual(findArtifact(workspace, 'remote-support@2.1.0:linux-x64'), release);
  assert.throws(() => findArtifact(workspace, 'remote-support@2.1.0:any'), { code: 'ARTIFACT_MISSING' });
  for (const text of ['', 'remote-support', '../x@1.0.0', 'a@1.0.0:beos'])
    assert.throws(() => findArtifact(workspace, text), { code: 'ARTIFACT_NAME' }, text);
});

const refusals: readonly [what: string, code: string, make: () => void, message?: RegExp][] = [
  ['no manifest', 'PACK_FOLDER', () => unlinkSync(join(folder, 'component.json'))],
  ['no base', 'PACK_FOLDER', () => rmSync(join(folder, 'base'), { recursive: true })],
  ['a manifest that is no JSON', 'FORMAT_JSON', () => write('component.json', '{')],
  ['an unknown field in the manifest', 'FORMAT_SCHEMA', () => write('component.json', '{"name":"x","sudo":true}')],
  ['a huge manifest', 'FILE_READ', () => write('component.json', Buffer.alloc(300_000, ' '))],
  ['a file that no release carries', 'PACK_FOLDER', () => write('.env', 'SECRET=1'), /no release carries/],
  ['a folder that no release carries', 'PACK_FOLDER', () => write('capabilites/x/y', '')],
  ['a file where a folder belongs', 'PACK_FOLDER', () => write('capabilities/remote-control', 'x')],
  [
    'a file for the base',
    'PACK_FOLDER',
    () => {
      rmSync(join(folder, 'base'), { recursive: true });
      write('base', 'x');
    },
  ],
  ['a folder for terms of a language', 'PACK_FOLDER', () => mkdirSync(join(folder, 'terms', '2025-01.fr.md'))],
  ['a capability that is not declared', 'PACK_FOLDER', () => write('capabilities/root-shell/x', 'x')],
  [
    'a hook whose program is not there',
    'PACK_FOLDER',
    () => editManifest((manifest) => void (manifest.hooks.start = [['bin/absent'], 5])),
  ],
  [
    'a hook outside the base',
    'RELEASE_MANIFEST',
    () => editManifest((manifest) => void (manifest.hooks.start = [['../bin/sh'], 5])),
  ],
  [
    'a hidden character in a title',
    'RELEASE_MANIFEST',
    () => editManifest((manifest) => void (manifest.title.en = 'a\u202eb')),
  ],
  ['notes with a bidirectional override', 'PACK_TEXT', () => write('notes.en.md', 'safe \u202e')],
  ['notes with carriage returns', 'PACK_TEXT', () => write('notes.en.md', 'a\r\nb')],
  ['notes that are not UTF-8', 'PACK_TEXT', () => write('notes.en.md', Buffer.from([0xff, 0xfe]))],
  ['notes that are too long', 'PACK_TEXT', () => write('notes.en.md', 'x'.repeat(70_000))],
  ['terms without English', 'PACK_FOLDER', () => unlinkSync(join(folder, 'terms', '2025-01.en.md'))],
  ['terms without a version', 'PACK_FOLDER', () => editManifest((manifest) => delete manifest.terms)],
  ['a stray file among the terms', 'PACK_FOLDER', () => write('terms/readme.txt', 'x')],
  ['a name that Windows reserves', 'ARCHIVE_NAME', () => write('base/con', 'x')],
  ['a name with a character of its own', 'ARCHIVE_NAME', () => write('base/ü', 'x')],
  ['names that differ in case', 'ARCHIVE_COLLISION', () => write('base/BIN/x', 'x')],
  ['a setuid file', 'ARCHIVE_ENTRY', () => chmodSync(join(folder, 'base/bin/start.mjs'), 0o4755)],
  ['a link in the base', 'ARCHIVE_ENTRY', () => symlinkSync('/etc/passwd', join(folder, 'base', 'link'))],
  [
    'a link for the base',
    'PACK_FOLDER',
    () => {
      renameSync(join(folder, 'base'), join(root, `elsewhere-${count}`));
      symlinkSync(join(root, `elsewhere-${count}`), join(folder, 'base'));
    },
  ],
  [
    'a link for the notes',
    'PACK_FOLDER',
    () => {
      unlinkSync(join(folder, 'notes.en.md'));
      symlinkSync('/etc/hostname', join(folder, 'notes.en.md'));
    },
  ],
];
for (const [what, code, make, message] of refusals)
  test(`refuses ${what}, and leaves nothing behind`, async () => {
    try {
      make();
    } catch (error) {
      if (process.platform === 'win32') return; // no links or modes here
      throw error;
    }
    await assert.rejects(pack(), { code, message: message ?? /./ });
    assert.deepEqual(left(), []);
  });

test('two at once give one whole release', async () => {
  const results = await Promise.all([pack(), pack(), pack()]);
  assert.equal(new Set(results.map(({ artifact }) => artifact.release)).size, 1);
  await verifyArtifact(readArtifact(workspace, release));
});

test('the lock lets one in at a time', () => {
  withArtifactLock(workspace, () =>
    assert.equal(
      withArtifactLock(join(root, 'another'), () => 1),
      1,
    ),
  );
});

test('refuses a statement or bundles that were swapped', async () => {
  await pack();
  const file = join(released(), 'linux-x64.statement.json');
  const good = readFileSync(file, 'utf8');
  writeFileSync(file, good.replace('2.1.0', '2.1.1'));
  assert.throws(() => readArtifact(workspace, release), { code: 'ARTIFACT_DAMAGED' });
  writeFileSync(file, good);
  writeFileSync(bundlesFile(workspace, release), bundleLine(Buffer.from('{}'), p256Key()));
  assert.throws(() => readArtifact(workspace, release), { code: 'ARTIFACT_DAMAGED' });
  assert.throws(() => readArtifact(workspace, { ...release, version: '9.9.9' }), { code: 'ARTIFACT_MISSING' });
});

test('the command answers with the release, and names the error', async () => {
  const run = (...words: string[]) => commandOutput(['--workspace', workspace, 'pack', folder, ...words]);
  const answer = (await run('--json')).json<{ release: string; outcome: string; files: unknown[] }>();
  assert.equal(answer.release, readArtifact(workspace, release).release);
  assert.equal(answer.outcome, 'packed');
  assert.equal(answer.files.length, 4);
  assert.match((await run()).out, /was packed before, with the same bytes/);
  write('.env', 'x');
  const refused = await run('--json');
  assert.equal(refused.code, 1);
  assert.match(refused.out, /"PACK_FOLDER"/);
});
