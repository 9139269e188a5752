/** Whatever is wrong with a release, the device, the publication gate and `countersign verify` say the same. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { releasePaths } from '@countersign/protocol';
import { verifyRepository } from '../../packages/signer/src/publishing/verification.ts';
import { PublishedRepository, serveRepository } from '../support/published-repository.ts';
import type { ReleaseFiles, ReleaseOptions } from '../support/release-files.ts';
import { bundleLine, p256Key } from '../support/signing-keys.ts';
import { byDevice, byGate, byVerify, byVerifyOfFolder } from '../support/three-judges.ts';

const paths = releasePaths('app', '1.2.0', 'any');
const archive = (text: string) => ({ bytes: Buffer.from(text), unpacked: text.length, files: 1 });
const options: ReleaseOptions = {
  name: 'app',
  version: '1.2.0',
  base: archive('the base'),
  capabilities: [
    { id: 'view', archive: archive('to look') },
    { id: 'clipboard', archive: archive('to copy') },
  ],
};

interface Attack {
  readonly code: string;
  /** Alters the statement before it is signed. */
  readonly statement?: (statement: Statement) => void;
  /** Changes what is published of the release. */
  readonly files?: (made: ReleaseFiles, repository: PublishedRepository) => void;
  /** Changes what surrounds it, before everything is signed. */
  readonly around?: (repository: PublishedRepository, made: ReleaseFiles) => void;
}
interface Statement {
  subject: { name: string; digest: { sha256: string }; annotations: { length: number } }[];
  predicate: { manifest: Record<string, unknown>; notes: Record<string, string> };
}

const oneSigner = (repository: PublishedRepository): void => {
  // Alice alone: her keys sign both the role and the code.
  repository.keys.set('component-app', [repository.personKeys('app')[0]!]);
};
const belowMinimum = (repository: PublishedRepository): void =>
  void (repository.revocations.minimum = { app: '2.0.0' });
const otherNotes = (statement: Statement): void => void (statement.predicate.notes = { en: 'f'.repeat(64) });
const otherOffer = ({ channel }: PublishedRepository): void =>
  void (channel.offers = channel.offers.map((offer) => ({ ...offer, release: 'a'.repeat(64) })));
const otherArchive = ({ files }: ReleaseFiles): void => void files.set(paths.base, Buffer.from('the case'));
const resign = (made: ReleaseFiles, key = p256Key()): void =>
  void made.files.set(paths.bundles, Buffer.from(bundleLine(made.statement, key)));

const attacks: Record<string, Attack> = {
  'a statement of another version': {
    code: 'RELEASE_STATEMENT',
    statement: ({ predicate }) => void (predicate.manifest.version = '1.2.1'),
  },
  'a statement of another component': {
    code: 'RELEASE_STATEMENT',
    statement: ({ predicate }) => void (predicate.manifest.name = 'other'),
  },
  'a statement that leaves the SBOM out': {
    code: 'RELEASE_STATEMENT',
    statement: (statement) => void (statement.subject = statement.subject.filter(({ name }) => name !== paths.sbom)),
  },
  'a manifest with an unknown field': {
    code: 'FORMAT_SCHEMA',
    statement: ({ predicate }) => void (predicate.manifest.setuid = true),
  },
  'a revoked release': {
    code: 'RELEASE_REVOKED',
    around: ({ revocations }, { release }) => void (revocations.releases = [{ release, reason: 'leaks' }]),
  },
  'a version below the minimum': { code: 'RELEASE_BELOW_MINIMUM', around: belowMinimum },
  'a revoked key that signed': {
    code: 'CODESIGN_THRESHOLD',
    around: (repository) =>
      void (repository.revocations.keys = [{ spki: repository.spkiOf(repository.codeSigners.build), reason: 'lost' }]),
  },
  'a signer who is nobody': { code: 'CODESIGN_THRESHOLD', files: (made) => resign(made) },
  'bundles that are none': {
    code: 'CODESIGN_BUNDLE',
    files: ({ files }) => files.set(paths.bundles, Buffer.from('x')),
  },
  'two bundles over different statements': {
    code: 'CODESIGN_STATEMENTS_DIFFER',
    files: ({ files, statement }, { codeSigners }) => {
      const other = Buffer.from(statement.toString().replace('"rollback":"safe"', '"rollback":"impossible"'));
      const line = Buffer.from(bundleLine(other, codeSigners.release));
      files.set(paths.bundles, Buffer.concat([files.get(paths.bundles)!, line]));
    },
  },
  'one person on both sides': { code: 'CODESIGN_ONE_PERSON', around: oneSigner },
  'another release than the channel names': { code: 'OFFER_RELEASE', around: otherOffer },
  'texts that are not the signed ones': { code: 'RELEASE_TEXTS', statement: otherNotes },
  'an archive that is listed with another digest': { code: 'DOWNLOAD_NOT_LISTED', files: otherArchive },
  'an archive that is listed with another length': {
    code: 'DOWNLOAD_NOT_LISTED',
    statement: ({ subject }) => void subject.find(({ name }) => name === paths.base)!.annotations.length++,
  },
  'an archive that is not listed': { code: 'TRUST_DOCUMENT', files: ({ files }) => files.delete(paths.base) },
  'an SBOM that is not listed': { code: 'TRUST_DOCUMENT', files: ({ files }) => files.delete(paths.sbom) },
  'texts that are not listed': { code: 'TRUST_DOCUMENT', files: ({ files }) => files.delete(paths.texts) },
  'bundles that are not listed': { code: 'TRUST_DOCUMENT', files: ({ files }) => files.delete(paths.bundles) },
  'an offer of what is not published': {
    code: 'TRUST_DOCUMENT',
    around: (repository) =>
      void (repository.channel.offers = repository.channel.offers.map((offer) => ({ ...offer, version: '9.9.9' }))),
  },
  'one release under two names': {
    code: 'CHANNEL_RULES',
    around: (repository) =>
      void (repository.channel.offers = repository.channel.offers.flatMap((offer) => [
        offer,
        { ...offer, version: '1.3.0' },
      ])),
  },
  // Two things are wrong: the code is that of the first check of a device.
  'a version below the minimum, bundles that are none': {
    code: 'RELEASE_BELOW_MINIMUM',
    around: belowMinimum,
    files: ({ files }) => files.set(paths.bundles, Buffer.from('x')),
  },
  'a revoked release that the channel names otherwise': {
    code: 'OFFER_RELEASE',
    around: (repository, { release }) => {
      repository.revocations.releases = [{ release, reason: 'leaks' }];
      otherOffer(repository);
    },
  },
  'another release than the channel names, with other texts': {
    code: 'OFFER_RELEASE',
    statement: otherNotes,
    around: otherOffer,
  },
  'other texts, by one person': { code: 'CODESIGN_ONE_PERSON', statement: otherNotes, around: oneSigner },
  'another archive, with other texts': { code: 'RELEASE_TEXTS', statement: otherNotes, files: otherArchive },
};

function sample(attack?: Attack): PublishedRepository {
  const repository = new PublishedRepository();
  const bend = attack?.statement;
  const made = repository.addRelease({
    ...options,
    ...(bend ? { bend: (statement: object) => bend(statement as Statement) } : {}),
  });
  attack?.files?.(made, repository);
  const offer = repository.offer(made);
  repository.channel.offers = [{ ...offer, component: 'app', version: '1.2.0' }];
  attack?.around?.(repository, made);
  return repository.publish();
}

async function allSay(t: TestContext, repository: PublishedRepository, expected: string): Promise<void> {
  const said = {
    device: await byDevice(t, repository),
    gate: await byGate(t, repository),
    verify: await byVerify(t, repository),
    folder: await byVerifyOfFolder(t, repository),
  };
  assert.deepEqual(said, { device: expected, gate: expected, verify: expected, folder: expected });
}

test('an untouched release is good for device, gate and verify', (t) => allSay(t, sample(), 'good'));

for (const [what, attack] of Object.entries(attacks))
  test(`device, gate and verify say the same of ${what}`, (t) => allSay(t, sample(attack), attack.code));

/** A byte of an upload cannot be flipped, because blobs are named by their digest. Verify sees what a device sees. */
const published = (repository: PublishedRepository): string[] =>
  [...repository.files.keys()].filter((name) => name.startsWith('targets/'));

for (const ending of [
  'any.base.tar.zst',
  'any.cap-view.tar.zst',
  'any.cap-clipboard.tar.zst',
  'any.sbom.cdx.json',
  'any.texts.json',
  'any.release.sigstore.jsonl',
  'codesign.jsonl',
  'devices.jsonl',
  'revocations.json',
  'stable.json',
])
  test(`device and verify say the same of ${ending} with a flipped byte, missing, cut and longer`, async (t) => {
    const repository = sample();
    const names = published(repository);
    assert.equal(names.length, 10, 'every published file is in the table');
    const name = names.find((one) => one.endsWith(`.${ending}`))!;
    const honest = repository.files.get(name)!;
    const flip = (at: number): Buffer => {
      const bytes = Buffer.from(honest);
      bytes[at]! ^= 1;
      return bytes;
    };
    const large = /tar\.zst|sbom/.test(ending);
    const code = (ofLarge: string): string => (large ? ofLarge : 'TRUST_DOCUMENT');
    for (const [bytes, expected] of [
      [flip(0), code('TUF_HASH')],
      [flip(honest.length >> 1), code('TUF_HASH')],
      [flip(honest.length - 1), code('TUF_HASH')],
      [honest.subarray(1), code('TUF_HASH')],
      [Buffer.concat([honest, Buffer.from(' ')]), code('SOURCE_TOO_LARGE')],
      [null, code('SOURCE_STATUS')],
    ] as const) {
      if (bytes) repository.files.set(name, bytes);
      else repository.files.delete(name);
      assert.equal(await byVerify(t, repository), expected);
      assert.equal(await byVerifyOfFolder(t, repository), expected);
      // A device does not fetch SBOMs; the code is that of any other file that it downloads.
      if (!ending.includes('sbom')) assert.equal(await byDevice(t, repository), expected);
    }
    repository.files.set(name, honest);
    assert.equal(await byVerify(t, repository), 'good');
  });

test('verify says how far it is, and fetches nothing twice', async (t) => {
  const repository = sample();
  const { url, requests } = await serveRepository(t, repository);
  const seen: [number, number][] = [];
  await verifyRepository(url, repository.shipped, repository.time, (done, total) => seen.push([done, total]));
  const large = published(repository).filter((name) => /tar\.zst|sbom/.test(name));
  const total = large.reduce((sum, name) => sum + repository.files.get(name)!.length, 0);
  assert.deepEqual(seen.at(-1), [total, total]);
  assert.ok(seen.every(([done], index) => index === 0 || done >= seen[index - 1]![0]));
  assert.equal(new Set(requests).size, requests.length, 'nothing is fetched twice');
});

test('a version that the channel blocks is blocked for the device and for verify', async (t) => {
  const repository = sample();
  repository.channel.blocked = [{ component: 'app', version: '1.2.0', reason: 'crashes' }];
  repository.publish();
  assert.equal(await byDevice(t, repository), 'RELEASE_BLOCKED');
  assert.equal(await byVerify(t, repository), 'RELEASE_BLOCKED');
});

test('a flipped byte in any metadata file has one code for the device and for verify', async (t) => {
  const repository = sample();
  const names = [...repository.files.keys()].filter((name) => name.startsWith('metadata/') && !name.includes('1.root'));
  assert.equal(names.length, 7);
  for (const name of names) {
    const honest = repository.files.get(name)!;
    for (const at of [0, honest.length >> 1, honest.length - 2]) {
      const flipped = Buffer.from(honest);
      flipped[at]! ^= 1;
      repository.files.set(name, flipped);
      const code = await byDevice(t, repository);
      assert.match(code, /^(TUF|FORMAT)_/, `${name} at ${at}`);
      assert.equal(await byVerify(t, repository), code, `${name} at ${at}`);
    }
    repository.files.set(name, honest);
  }
});
