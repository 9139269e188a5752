/**
 * Makes a random repository and its history: keys of all kinds, thresholds, delegations, bins; several epochs, each with changes.
 */
import { binName, sha256 } from '@countersign/protocol';
import { RepositorySimulator } from '../support/repository-simulator.ts';
import type { TestKey } from '../support/tuf-keys.ts';
import { documentMutations } from './document-mutations.ts';
import { fileMutations } from './file-mutations.ts';
import type { HardeningName } from './hardenings.ts';
import { documentOf, type Mutation, type Scene } from './mutations.ts';
import { seeded, type Random } from './random.ts';
import { trustMutations } from './trust-mutations.ts';

export const now = new Date('2026-06-01T00:00:00Z');
const allPaths = [
  'a.txt',
  'readme',
  'x',
  'dir/a.txt',
  'dir/b.bin',
  'dir/sub/x',
  'foo-1.tgz',
  'foo-22.tgz',
  'dir/README.MD',
  'none',
  'dir/none',
];
const patterns = [
  '*',
  'dir/*',
  '*.txt',
  'dir/*.bin',
  'foo-?.tgz',
  'dir/*/x',
  '?',
  'dir/*.*',
  'f*-*.t?z',
  'dir',
  '*/*',
  '**',
  '*a*',
  'readme',
];

/** Role names that are escaped in file names. */
const oddNames = ['with space', 'up/../down', 'ü'];

const mutations = [...documentMutations, ...trustMutations, ...fileMutations];

export interface Epoch {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly applied: readonly Mutation[];
}
export interface Scenario {
  readonly shippedRoot: Buffer;
  readonly epochs: readonly Epoch[];
  /** The target paths to search. */
  readonly paths: readonly string[];
  /** Differences that the repository itself may cause, without a mutation. */
  readonly named: readonly HardeningName[];
}

/** The scenario of a seed. */
export function scenario(seed: number, pool: readonly TestKey[]): Scenario {
  const random = seeded(seed);
  const keys = (): TestKey[] => random.some(pool, 1 + random.integer(3));
  const online = random.chance(0.3) ? keys() : undefined;
  const repo = new RepositorySimulator({
    now,
    meta: random.chance(0.5) ? 'full' : 'version',
    profile: 'general',
    keys: { root: keys(), timestamp: online ?? keys(), snapshot: online ?? keys(), targets: keys() },
  });
  const shippedRoot = repo.rootBytes(1);
  for (const role of Object.values(repo.root.roles)) role.threshold = 1 + random.integer(role.keyids.length);
  if (random.chance(0.1)) repo.root.consistent_snapshot = false;
  if (random.chance(0.2)) delegateToBins(repo, random, keys());
  else delegateToRoles(repo, random, keys);
  for (let i = random.integer(12); i > 0; i--)
    repo.addTarget(random.pick([...repo.roles.keys()]), random.pick(allPaths), String(random.integer(9)));
  const past: ReadonlyMap<string, Buffer>[] = [];
  const epochs: Epoch[] = [];
  const scene: Scene = { repo, random, pool, past };
  for (let count = 1 + random.integer(3); count > 0; count--) {
    const applied = random.chance(epochs.length === 0 && count > 1 ? 0.25 : 0.8)
      ? random.some(mutations, 1 + random.integer(2))
      : [];
    epochs.push(turn(scene, applied));
    past.push(new Map(repo.files));
  }
  const odd = oddNames.some((name) => repo.signers.has(name));
  return { shippedRoot, epochs, paths: random.some(allPaths, 5), named: odd ? ['odd names are kept'] : [] };
}

/** Publishes with the mutations; changed files are served in this epoch only. */
export function turn(scene: Scene, applied: readonly Mutation[]): Epoch {
  const { repo, random } = scene;
  // A root without its keys or roles is broken completely; nothing is left to change in it.
  const whole = (): boolean => Object.hasOwn(repo.root, 'keys') && Object.hasOwn(repo.root, 'roles');
  for (const { when, apply } of applied) if (when === 'document' && whole()) apply(scene);
  const touched = ['root', ...repo.roles.keys()].filter(() => applied.length > 0 || random.chance(0.5));
  repo.publish(...(touched.length > 0 ? touched : ['targets']));
  const clean = new Map(repo.files);
  for (const { when, apply } of applied) if (when === 'file') apply(scene);
  const files = new Map(repo.files);
  repo.files.clear();
  for (const [name, bytes] of clean) repo.files.set(name, bytes);
  return { files, applied };
}

function delegateToRoles(repo: RepositorySimulator, random: Random, keys: () => TestKey[]): void {
  const odd = random.chance(0.3) ? oddNames : [];
  const names = random.some(['alpha', 'beta', 'gamma', 'delta', 'epsilon', ...odd], random.integer(6));
  const all = ['targets'];
  for (const name of names) {
    const signers = keys();
    const prefixes = random.chance(0.2) ? random.some([...'0123456789abcdef'], 8).concat('ab') : undefined;
    repo.delegate(random.pick(all), name, random.some(patterns, 1 + random.integer(3)), {
      keys: signers,
      threshold: 1 + random.integer(signers.length),
      terminating: random.chance(0.4),
      ...(prefixes ? { prefixes } : {}),
    });
    all.push(name);
  }
  // Cycles and diamonds: delegates to an existing role once more, with its own keys or with others.
  if (names.length > 1 && random.chance(0.5)) {
    const [delegator, name] = random.some(names, 2) as [string, string];
    const known = repo.targets(delegator).delegations?.roles?.some((role) => role.name === name);
    const own = random.chance(0.6) ? repo.signers.get(name)! : keys();
    if (!known) repo.delegate(delegator, name, ['*', 'dir/*'], { keys: own, terminating: random.chance(0.3) });
  }
}

function delegateToBins(repo: RepositorySimulator, random: Random, keys: TestKey[]): void {
  const bits = 1 + random.integer(5);
  const keyids = keys.map(({ keyid }) => keyid);
  repo.targets().delegations = {
    keys: Object.fromEntries(keys.map((key) => [key.keyid, key.public])),
    succinct_roles: {
      keyids,
      threshold: 1 + random.integer(keys.length),
      bit_length: bits,
      name_prefix: random.pick(['bin', 'a-b']),
    },
  };
  const prefix = String(repo.targets().delegations!.succinct_roles!.name_prefix);
  for (let bin = 0; bin < 2 ** bits; bin++) {
    if (random.chance(0.05)) continue;
    const name = binName(prefix, bits, bin);
    repo.roles.set(name, { ...documentOf(repo, 'targets'), version: 0, targets: {} });
    delete repo.targets(name).delegations;
    repo.signers.set(name, keys);
  }
  for (const path of allPaths.filter(() => random.chance(0.6))) {
    const name = binName(prefix, bits, parseInt(sha256(path).slice(0, 8), 16) >>> (32 - bits));
    if (repo.roles.has(name)) repo.addTarget(name, path, path);
  }
}
