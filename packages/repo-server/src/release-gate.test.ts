import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  canonicalBytes,
  consistentTargetName,
  openMetadata,
  readTargets,
  type TrustedTargets,
} from '@countersign/protocol';
import { PublishedRepository } from '../../../test/support/published-repository.ts';
import { checkContents, type RepositoryView } from './release-gate.ts';

type Listed = Record<string, { length: number; hashes: Record<string, string> }>;
type Bend = (targets: Listed, role: string) => void;

/** What the repository publishes now; `bend` changes what a role lists, as the role's own signers could. */
function viewOf(repository: PublishedRepository, bend: Bend = () => undefined): RepositoryView {
  const roles = new Map<string, TrustedTargets>();
  for (const role of repository.keys.keys()) {
    if (['root', 'snapshot', 'timestamp', 'targets'].includes(role)) continue;
    const bytes = repository.files.get(`metadata/${repository.versions.get(role)!}.${role}.json`)!;
    const signed = structuredClone(readTargets(openMetadata(bytes, role).signed()));
    bend(signed.targets as Listed, role);
    const signers = repository.keys.get(role)!.map(({ id }) => id);
    roles.set(role, { bytes, signed, signers, delegators: new Map() } as unknown as TrustedTargets);
  }
  return {
    roles,
    read: (path) => {
      const listed = [...roles.values()].find(({ signed }) => Object.hasOwn(signed.targets, path))?.signed.targets[
        path
      ];
      const bytes = listed && repository.files.get(`targets/${consistentTargetName(path, listed.hashes.sha256!)}`);
      return bytes ? Promise.resolve(bytes) : Promise.reject(new Error(`no ${path}`));
    },
  };
}

function sample(): PublishedRepository {
  const repository = new PublishedRepository();
  repository.offer(repository.addRelease({ name: 'app', version: '1.0.0' }));
  return repository.publish();
}
const check = (repository: PublishedRepository, bend?: Bend): Promise<void> =>
  checkContents(viewOf(repository, bend), null, repository.shipped);

const file = { length: 1, hashes: { sha256: '0'.repeat(64) } };
const base = 'components/app/1.0.0/any.base.tar.zst';

test('what is published as it was signed is accepted, alone and on top of what was', async () => {
  const repository = sample();
  await check(repository);
  const before = viewOf(repository);
  repository.offer(repository.addRelease({ name: 'app', version: '1.1.0' }));
  await checkContents(viewOf(repository.publish()), before, repository.shipped);
});

for (const [what, code, bend] of [
  [
    'a file of the release with another length',
    'DOWNLOAD_NOT_LISTED',
    (targets) => targets[base] && targets[base].length++,
  ],
  [
    'another file of the release',
    'DOWNLOAD_NOT_LISTED',
    (targets) => targets[base] && (targets[base].hashes = { sha256: '0'.repeat(64) }),
  ],
  ['a release of which a file is missing', 'TRUST_DOCUMENT', (targets) => delete targets[base]],
] as const satisfies readonly (readonly [string, string, Bend])[])
  test(`refuses ${what} with the code of a device`, async () => {
    await assert.rejects(check(sample(), bend), { code });
  });

for (const [what, message, bend] of [
  [
    'a file beside the release',
    'components/app/1.0.0/any.more.tar.zst was not code-signed',
    (targets, role) => role === 'component-app' && (targets['components/app/1.0.0/any.more.tar.zst'] = file),
  ],
  [
    'a file of no platform',
    'components/app/1.0.0/some.base.tar.zst belongs to no release',
    (targets, role) => role === 'component-app' && (targets['components/app/1.0.0/some.base.tar.zst'] = file),
  ],
  [
    'a file outside of a release',
    'components/app/readme belongs to no release',
    (targets, role) => role === 'component-app' && (targets['components/app/readme'] = file),
  ],
  [
    'a file that is no channel',
    'role channels lists channels/stable.txt, which is no channel',
    (targets, role) => role === 'channels' && (targets['channels/stable.txt'] = file),
  ],
  [
    'a file beside the revocations',
    'role revocations lists revocations/more.json, which no device reads',
    (targets, role) => role === 'revocations' && (targets['revocations/more.json'] = file),
  ],
  [
    'a file beside the chains',
    'role authority lists authority/more.jsonl, which no device reads',
    (targets, role) => role === 'authority' && (targets['authority/more.jsonl'] = file),
  ],
] as const satisfies readonly (readonly [string, string, Bend])[])
  test(`refuses ${what}`, async () => {
    await assert.rejects(check(sample(), bend), { code: 'PUBLICATION_REFUSED', message });
  });

for (const [what, code, message, change] of [
  [
    'of a component that has no role',
    'TRUST_DOCUMENT',
    'channel stable offers other 1.0.0 any, which is not published',
    (repository: PublishedRepository) => ({ ...repository.channel.offers[0]!, component: 'other' }),
  ],
  [
    'of a version that is not published',
    'TRUST_DOCUMENT',
    'channel stable offers app 2.0.0 any, which is not published',
    (repository: PublishedRepository) => ({ ...repository.channel.offers[0]!, version: '2.0.0' }),
  ],
  [
    'of another statement',
    'OFFER_RELEASE',
    'what is signed of app 1.0.0 is not the release in the channel',
    (repository: PublishedRepository) => ({ ...repository.channel.offers[0]!, release: '0'.repeat(64) }),
  ],
] as const)
  test(`refuses an offer ${what}`, async () => {
    const repository = sample();
    repository.channel = { ...repository.channel, offers: [change(repository)] };
    await assert.rejects(check(repository.publish()), { code, message });
  });

test('a release that is revoked is not published anew, and stays where it was published before', async () => {
  const repository = sample();
  const before = viewOf(repository);
  const { release } = repository.releases.get('app 1.0.0 any')!;
  repository.revocations.releases = [{ release, reason: 'test' }];
  repository.publish();
  await checkContents(viewOf(repository), before, repository.shipped);
  await assert.rejects(check(repository), { code: 'RELEASE_REVOKED' });
});

test('a release with a file more is judged as the offers that stand name it', async () => {
  const repository = sample();
  const [offer] = repository.channel.offers;
  const before = viewOf(repository);
  const { files } = repository.addRelease({ name: 'app', version: '1.0.0', notes: { en: 'signed anew' } });
  assert.ok(files.size > 0);
  repository.publish();
  assert.deepEqual(repository.channel.offers, [offer]);
  await assert.rejects(checkContents(viewOf(repository), before, repository.shipped), { code: 'OFFER_RELEASE' });
});

test('an offer that stands loses no file, nor all of them', async () => {
  const repository = sample();
  const before = viewOf(repository);
  const left = (leaves: (path: string) => boolean): RepositoryView =>
    viewOf(repository, (targets) => {
      for (const path of Object.keys(targets)) if (leaves(path)) delete targets[path];
    });
  await checkContents(
    left((path) => path.startsWith('unlisted/')),
    before,
    repository.shipped,
  );
  for (const leaves of [(path: string) => path === base, (path: string) => path.startsWith('components/app/1.0.0/')])
    await assert.rejects(checkContents(left(leaves), before, repository.shipped), { code: 'TRUST_DOCUMENT' });
});

test('two channels that offer one release have it judged alike', async () => {
  const repository = sample();
  const view = viewOf(repository);
  const role = view.roles.get('channels')!;
  const path = 'channels/beta.json';
  const beta = (offers: object[]) => canonicalBytes({ ...repository.channel, channel: 'beta', offers });
  (role.signed.targets as Listed)[path] = file;
  const offered = (change: object): RepositoryView => ({
    ...view,
    read: (name, maximum) =>
      name === path
        ? Promise.resolve(beta([{ ...repository.channel.offers[0]!, ...change }]))
        : view.read(name, maximum),
  });
  await checkContents(offered({}), null, repository.shipped);
  await assert.rejects(checkContents(offered({ release: '0'.repeat(64) }), null, repository.shipped), {
    code: 'OFFER_RELEASE',
  });
});
