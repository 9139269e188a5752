import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { memoryStore } from '../../../../../test/support/memory-store.ts';
import { RepositorySimulator, day } from '../../../../../test/support/repository-simulator.ts';
import { lookUp, refresh } from './metadata-client.ts';
import { recordedFiles } from './recorded-files.ts';
import { consultTufJs } from './second-verifier-worker.ts';
import { confirmTargets, secondOpinion } from './second-verifier.ts';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'countersign-second-'));
const refused = (code: string, work: Promise<unknown>): Promise<void> => assert.rejects(work, { code });

async function scene() {
  const repo = new RepositorySimulator();
  const shippedRoot = repo.rootBytes(1);
  repo.delegate('targets', 'channels', ['channels/*']);
  repo.addTarget('channels', 'channels/stable.json', '{}', { note: 'kept' });
  repo.publish();
  repo.publish('root');
  const options = { source: repo, store: memoryStore(), shippedRoot, now: repo.now, profile: 'strict' } as const;
  const session = await refresh(options);
  const { target } = await lookUp(session, 'channels/stable.json');
  const files = await recordedFiles(session);
  const input = { root1: shippedRoot, files, referenceTime: repo.now, targets: [target!], scratchDirectory: scratch() };
  return { repo, session, input, target: target! };
}

test('agrees on what is there and on what is not, and leaves nothing behind', async () => {
  const { session } = await scene();
  const scratchDirectory = scratch();
  const found = await confirmTargets(session, ['channels/stable.json', 'channels/none.json'], { scratchDirectory });
  assert.deepEqual(
    [...found.values()].map((target) => target?.length ?? null),
    [2, null],
  );
  assert.deepEqual(readdirSync(scratchDirectory), []);
});

test('another length, another digest, or a target only one of them has is a disagreement', async () => {
  const { input, target } = await scene();
  const other = [
    { ...target, length: 3 },
    { ...target, hashes: { sha256: '0'.repeat(64) } },
    { ...target, hashes: { ...target.hashes, sha512: '00' } },
    { path: target.path, absent: true as const },
    { ...target, path: 'channels/none.json' },
  ];
  for (const claimed of other) await refused('VERIFIERS_DISAGREE', secondOpinion({ ...input, targets: [claimed] }));
  await secondOpinion(input);
});

test('its refusal is a disagreement: changed bytes, a missing root, another shipped root', async () => {
  const { input, repo } = await scene();
  for (const name of input.files.keys()) {
    const files = new Map(input.files);
    if (name === '1.root.json') continue;
    const changed = Buffer.from(files.get(name)!);
    changed[changed.length - 10]! ^= 1;
    files.set(name, changed);
    await refused('VERIFIERS_DISAGREE', secondOpinion({ ...input, files }));
  }
  const without = new Map(input.files);
  without.delete('2.root.json');
  without.delete('timestamp.json');
  await refused('VERIFIERS_DISAGREE', secondOpinion({ ...input, files: without }));
  await refused('VERIFIERS_DISAGREE', secondOpinion({ ...input, root1: new RepositorySimulator().rootBytes(1) }));
  await secondOpinion({ ...input, root1: repo.rootBytes(3) });
});

test('it judges at the recorded time, not by the clock of this machine', async () => {
  const { input, repo } = await scene();
  const scratchFolder = (): string => mkdtempSync(join(input.scratchDirectory, 'x-'));
  const ask = (at: Date) =>
    consultTufJs({
      ...input,
      referenceTime: at.toISOString(),
      paths: ['channels/stable.json'],
      scratch: scratchFolder(),
    });
  assert.equal((await ask(repo.now)).length, 1);
  await assert.rejects(ask(new Date(repo.now.getTime() + day)));
  await refused('VERIFIERS_DISAGREE', secondOpinion({ ...input, referenceTime: new Date(repo.now.getTime() + day) }));
});

test('no answer in time and a crash are refusals, and the scratch folder goes with them', async () => {
  const { input } = await scene();
  await refused('VERIFIER_FAILED', secondOpinion({ ...input, wallMilliseconds: 1 }));
  for (const code of ['throw new Error("crash")', 'process.exit(0)', 'process.exit(7)', '1'])
    await refused('VERIFIER_FAILED', secondOpinion({ ...input, entry: new URL(`data:text/javascript,${code}`) }));
  const never = { toISOString: () => 'never' } as unknown as Date;
  await refused('VERIFIERS_DISAGREE', secondOpinion({ ...input, referenceTime: never }));
  assert.deepEqual(readdirSync(input.scratchDirectory), []);
});

test('it is given nothing of the environment', async () => {
  process.env.COUNTERSIGN_TEST_SECRET = 'correct horse';
  const { input } = await scene();
  const entry = new URL('data:text/javascript,throw new Error(JSON.stringify(process.env))');
  const message = /broke off: Error: \{\}/;
  await assert.rejects(secondOpinion({ ...input, entry }), { code: 'VERIFIER_FAILED', message });
  delete process.env.COUNTERSIGN_TEST_SECRET;
});
