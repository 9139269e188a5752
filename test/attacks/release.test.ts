/** Row 7: statement, manifest, texts or archive differ from each other; and one flipped byte in any published file. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, releasePaths } from '@countersign/protocol';
import { computeDevicePlan } from '../../packages/client/src/consent/planning.ts';
import { withLock } from '../../packages/client/src/device/device.ts';
import { refreshTrust } from '../../packages/client/src/trust/refresh.ts';
import { listRefusals } from '../../packages/client/src/trust/refusals.ts';
import { attackScene } from '../support/attack-scene.ts';
import { PublishedRepository } from '../support/published-repository.ts';
import type { ReleaseFiles, ReleaseOptions } from '../support/release-files.ts';
import { repositoryDevice } from '../support/repository-device.ts';
import { bundleLine } from '../support/signing-keys.ts';

type Statement = {
  subject: { name: string; digest: { sha256: string }; annotations: { length: number } }[];
  predicate: { manifest: Record<string, unknown>; notes: Record<string, string> };
};
const paths = releasePaths('diagnostics', '1.2.0', 'any');
const bend = (change: (statement: Statement) => void): Partial<ReleaseOptions> => ({
  bend: (statement) => change(statement as unknown as Statement),
});

interface Case {
  readonly code: string;
  readonly release?: Partial<ReleaseOptions>;
  readonly files?: (made: ReleaseFiles, repository: PublishedRepository) => void;
  readonly offered?: string;
}
const cases: Record<string, Case> = {
  'a statement of another version': {
    code: 'RELEASE_STATEMENT',
    release: bend(({ predicate }) => void (predicate.manifest.version = '1.2.1')),
  },
  'a statement of another component': {
    code: 'RELEASE_STATEMENT',
    release: bend(({ predicate }) => void (predicate.manifest.name = 'remote-support')),
  },
  'a statement that leaves a file out': {
    code: 'RELEASE_STATEMENT',
    release: bend(
      (statement) => void (statement.subject = statement.subject.filter(({ name }) => name !== paths.sbom)),
    ),
  },
  'a manifest with an unknown field': {
    code: 'FORMAT_SCHEMA',
    release: bend(({ predicate }) => void (predicate.manifest.setuid = true)),
  },
  'an archive that is listed with another digest': {
    code: 'DOWNLOAD_NOT_LISTED',
    files: ({ files }) => files.set(paths.base, Buffer.concat([files.get(paths.base)!.subarray(1), Buffer.from('!')])),
  },
  'an archive that is listed with another length': {
    code: 'DOWNLOAD_NOT_LISTED',
    release: bend(({ subject }) => void subject.find(({ name }) => name === paths.base)!.annotations.length++),
  },
  'an archive that is not published': {
    code: 'TRUST_DOCUMENT',
    files: ({ files }) => files.delete(paths.base),
  },
  'texts that are not the signed ones': {
    code: 'RELEASE_TEXTS',
    release: bend(({ predicate }) => void (predicate.notes = { en: 'f'.repeat(64) })),
  },
  'two bundles over different statements': {
    code: 'CODESIGN_STATEMENTS_DIFFER',
    files: (made, repository) => {
      const other = Buffer.from(made.statement.toString().replace('"rollback":"safe"', '"rollback":"impossible"'));
      const line = bundleLine(other, repository.codeSigners.release);
      made.files.set(paths.bundles, Buffer.concat([made.files.get(paths.bundles)!, Buffer.from(line)]));
    },
  },
  'a signature over another statement': {
    code: 'CODESIGN_THRESHOLD',
    files: (made) => {
      const bundle = JSON.parse(made.files.get(paths.bundles)!.toString()) as { dsseEnvelope: { payload: string } };
      const other = made.statement.toString().replace('"rollback":"safe"', '"rollback":"impossible"');
      bundle.dsseEnvelope.payload = Buffer.from(other).toString('base64');
      made.files.set(paths.bundles, Buffer.from(`${JSON.stringify(bundle)}\n`));
    },
  },
  'a release that is not the one of the channel': { code: 'OFFER_RELEASE', offered: 'a'.repeat(64) },
};

for (const [name, { code, release, files, offered }] of Object.entries(cases))
  test(`row 7: ${name} is refused`, async (t) => {
    const scene = await attackScene(t);
    const { repository } = scene;
    const honest = repository.channel.offers;
    const made = repository.addRelease({ name: 'diagnostics', version: '1.2.0', ...release });
    files?.(made, repository);
    const offer = repository.offer(made, offered === undefined ? {} : { release: offered });
    repository.channel.offers = [{ ...offer, component: 'diagnostics', version: '1.2.0' }];
    repository.publish();
    await scene.refusedRelease('diagnostics', code);
    repository.channel.offers = honest;
    repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.2.0' }));
    repository.publish();
    await scene.check();
    assert.equal(scene.offered('diagnostics'), '1.2.0');
  });

test('one flipped byte in any file that is published is refused', async (t) => {
  const repository = new PublishedRepository();
  repository.offer(repository.addRelease({ name: 'diagnostics', version: '1.2.0' }));
  repository.rotateRoot(() => {}).publish();
  const attempt = async (): Promise<string> => {
    const { device } = await repositoryDevice(t, repository);
    return withLock(device, async () => {
      try {
        const plan = await computeDevicePlan(device, await refreshTrust(device));
        if (plan !== null) return 'planned';
        return listRefusals(device)[0]!.code;
      } catch (error) {
        return codeOf(error) ?? 'no code';
      }
    });
  };
  assert.equal(await attempt(), 'planned');
  // Other tests cover the shipped root and what a device never reads before it installs.
  const read = [...repository.files.keys()].filter((name) => !/1\.root\.json|\.tar\.zst|\.sbom\./.test(name));
  assert.equal(read.length, 14);
  for (const name of read) {
    const honest = repository.files.get(name)!;
    for (const at of [0, honest.length >> 1, honest.length - 2]) {
      const flipped = Buffer.from(honest);
      flipped[at]! ^= 1;
      repository.files.set(name, flipped);
      const code = await attempt();
      assert.match(code, /^(TUF|TRUST|FORMAT|AUTHORITY)_/, `${name} at ${at}: ${code}`);
    }
    repository.files.set(name, honest);
  }
  assert.equal(await attempt(), 'planned');
});
