/**
 * Measures the TUF core alone, bytes in and a trusted target out, beside the metadata store of tuf-js, which reads the same bytes.
 */
import { TrustedMetadataStore } from 'tuf-js/dist/store.js';
import { findTarget, trustRoot, updateSnapshot, updateTargets, updateTimestamp } from '@countersign/protocol';
import { sideBySide, timed, type Benchmark, type Row } from './measurement.ts';
import { generateRepository, type GeneratedRepository } from './repository.ts';

const sizes = [10, 100, 1000, 10_000, 100_000];
/** For more targets the peer takes minutes. */
const largestForPeer = 3000;
const goalMilliseconds = 400;

function ours({ root, files, target }: GeneratedRepository): void {
  const now = new Date();
  let state = updateTimestamp(trustRoot(root), files.get('timestamp.json')!, now);
  state = updateSnapshot(state, files.get('1.snapshot.json')!, now);
  state = updateTargets(state, 'targets', 'root', files.get('1.targets.json')!, now);
  if (findTarget(state, target).kind !== 'found') throw new Error('the target is not found');
}

function theirs({ root, files, target }: GeneratedRepository): void {
  const store = new TrustedMetadataStore(root);
  store.updateTimestamp(files.get('timestamp.json')!);
  store.updateSnapshot(files.get('1.snapshot.json')!);
  store.updateDelegatedTargets(files.get('1.targets.json')!, 'targets', 'root');
  if (!store.targets?.signed.targets[target]) throw new Error('the target is not found');
}

async function measure(count: number): Promise<Row> {
  const repository = generateRepository(count);
  const rounds = count > 10_000 ? 7 : 15;
  ours(repository);
  const subjects = [() => timed(() => ours(repository))];
  if (count <= largestForPeer) subjects.push(() => timed(() => theirs(repository)));
  const [own, peer] = await sideBySide(rounds, subjects);
  return {
    what: `${count.toLocaleString('en').replaceAll(',', ' ')} targets`,
    unit: 'ms',
    ours: own!,
    ...(peer === undefined ? {} : { peer: { name: 'tuf-js', value: peer } }),
    ...(count === 100_000 ? { goal: { words: `at most ${goalMilliseconds} ms`, met: own! <= goalMilliseconds } } : {}),
  };
}

export const benchmark: Benchmark = {
  name: 'TUF core alone',
  needs: [],
  run: async () => {
    const rows: Row[] = [];
    for (const size of sizes) rows.push(await measure(size));
    return rows;
  },
};
