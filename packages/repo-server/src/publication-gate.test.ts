import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consistentTargetName, revocationsPath } from '@countersign/protocol';
import type { MetadataSource } from '@countersign/protocol/node';
import { PublishedRepository } from '../../../test/support/published-repository.ts';
import { checkPublication, type GateInput } from './publication-gate.ts';

const base = 'components/app/1.0.0/any.base.tar.zst';

function sample(): PublishedRepository {
  const repository = new PublishedRepository();
  repository.offer(repository.addRelease({ name: 'app', version: '1.0.0' }));
  return repository.publish();
}

const sourceOf = (files: ReadonlyMap<string, Buffer>): MetadataSource => ({
  fetch: (name) => {
    const bytes = files.get(`metadata/${name}`);
    return Promise.resolve(bytes ? { kind: 'found', bytes } : { kind: 'absent' });
  },
});

/** The gate's input for the repository's publication, with a test's changes. */
function inputOf(repository: PublishedRepository, change: Partial<GateInput> = {}): GateInput {
  const target = (path: string, digest: string): Buffer | undefined =>
    repository.files.get(`targets/${consistentTargetName(path, digest)}`);
  return {
    shippedRoot: repository.shipped.root,
    shippedChains: repository.shipped,
    next: sourceOf(repository.files),
    before: null,
    now: repository.time,
    readTarget: (path, digest) => Promise.resolve(target(path, digest) ?? null),
    hasTarget: (path, digest, length) => Promise.resolve(target(path, digest)?.length === length),
    ...change,
  };
}

test('accepts what a device accepts, from the shipped root and from the state before', async () => {
  const repository = sample();
  const state = await checkPublication(inputOf(repository));
  assert.equal(state.snapshot?.signed.version, 1);
  const before = sourceOf(new Map(repository.files));
  repository.rotateRoot(() => undefined);
  repository.offer(repository.addRelease({ name: 'app', version: '1.1.0' }));
  repository.publish();
  const next = await checkPublication(inputOf(repository, { before }));
  assert.deepEqual([next.root.signed.version, next.snapshot?.signed.version], [2, 2]);
});

test('refuses a listed file that is not there, although nothing here reads it', async () => {
  const input = inputOf(sample());
  const hasTarget: GateInput['hasTarget'] = (path, ...rest) =>
    path === base ? Promise.resolve(false) : input.hasTarget(path, ...rest);
  await assert.rejects(checkPublication({ ...input, hasTarget }), {
    code: 'PUBLICATION_REFUSED',
    message: `${base} is listed and was not uploaded`,
  });
});

for (const [what, bytes] of [
  ['is not there', null],
  ['is longer', Buffer.from('{"_type":"https://countersign.dev/revocations/v1"}            ')],
  ['has other bytes', 'other'],
] as const)
  test(`refuses a document that ${what}`, async () => {
    const input = inputOf(sample());
    const readTarget: GateInput['readTarget'] = async (path, digest) => {
      const good = await input.readTarget(path, digest);
      if (path !== revocationsPath || !good) return good;
      return bytes === 'other' ? Buffer.from(good.toString().replace('[', ' ')) : bytes;
    };
    await assert.rejects(checkPublication({ ...input, readTarget }), {
      code: 'PUBLICATION_REFUSED',
      message: `${revocationsPath} is listed and was not uploaded`,
    });
  });

test('refuses a repository without revocations', async () => {
  const repository = sample();
  repository.bends.set('revocations', (signed) => Object.assign(signed, { targets: {} }));
  repository.renew('revocations').publish();
  await assert.rejects(checkPublication(inputOf(repository)), {
    code: 'PUBLICATION_REFUSED',
    message: `a device would refuse it: TRUST_DOCUMENT: trusted metadata does not list ${revocationsPath}`,
  });
});

test('refuses a role that another keeps out of reach', async () => {
  const repository = sample();
  repository.bends.set('targets', (signed) => {
    const { roles } = signed.delegations as { roles: { name: string; paths: string[] }[] };
    roles.find(({ name }) => name === 'authority')!.paths = ['channels/*'];
  });
  repository.renew('targets').publish();
  await assert.rejects(checkPublication(inputOf(repository)), {
    code: 'PUBLICATION_REFUSED',
    message: /TUF_PROFILE: .* delegates other paths to authority/,
  });
});

test('says which code a device would give', async () => {
  const repository = sample();
  const later = new Date(repository.time.getTime() + 2 * 24 * 3_600_000);
  await assert.rejects(checkPublication(inputOf(repository, { now: later })), (error: Error & { context: object }) => {
    assert.match(error.message, /^a device would refuse it: TUF_EXPIRED: /);
    assert.deepEqual(error.context, { code: 'TUF_EXPIRED' });
    return true;
  });
});

test('refuses what a device that followed until now could not follow', async () => {
  const repository = sample();
  repository.versions.set('channels', 7);
  const ahead = sourceOf(new Map(repository.renew('channels').publish().files));
  repository.versions.set('channels', 3);
  repository.renew('channels').publish();
  await checkPublication(inputOf(repository));
  await assert.rejects(checkPublication(inputOf(repository, { before: ahead })), {
    code: 'PUBLICATION_REFUSED',
    message: /TUF_ROLLBACK/,
  });
});

test('what fails on this machine is no refusal', async () => {
  const input = inputOf(sample());
  for (const code of ['FILE_READ', 'DISK_FULL', 'VERIFIER_FAILED', 'EIO', 'EACCES']) {
    const readTarget = (): Promise<never> => Promise.reject(Object.assign(new Error('test'), { code }));
    await assert.rejects(checkPublication({ ...input, readTarget }), { code });
  }
});
