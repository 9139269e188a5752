/**
 * Changes to a repository: ordinary changes, faults and attacks. `document` changes what is signed, before publication; `file`
 * changes what is served, after it. A mutation that only the core refuses names its hardening in `hardenings.ts`.
 */
import { metadataFileName } from '@countersign/protocol';
import type { RepositorySimulator, RoleDocument } from '../support/repository-simulator.ts';
import type { TestKey } from '../support/tuf-keys.ts';
import type { HardeningName } from './hardenings.ts';
import type { Random } from './random.ts';

export interface Scene {
  readonly repo: RepositorySimulator;
  readonly random: Random;
  readonly pool: readonly TestKey[];
  /** What was served in earlier epochs. */
  readonly past: readonly ReadonlyMap<string, Buffer>[];
}
export interface Mutation {
  readonly name: string;
  readonly when: 'document' | 'file';
  readonly apply: (scene: Scene) => void;
  /** The difference that this mutation may cause. */
  readonly hardening?: HardeningName;
}

export const topLevel = ['root', 'timestamp', 'snapshot', 'targets'] as const;
export const anyRole = ({ repo, random }: Scene): string =>
  random.pick(['root', 'timestamp', 'snapshot', ...repo.roles.keys()]);
export const anyTargets = ({ repo, random }: Scene): string => random.pick([...repo.roles.keys()]);

export function documentOf(repo: RepositorySimulator, role: string): RoleDocument {
  if (role === 'root' || role === 'timestamp' || role === 'snapshot') return repo[role];
  return repo.targets(role);
}
export const anyDocument = (scene: Scene): RoleDocument => documentOf(scene.repo, anyRole(scene));

/** A file that a client asks for now. */
export function anyFile(scene: Scene): [string, Buffer] {
  const { files } = scene.repo;
  const role = anyRole(scene);
  const { version } = documentOf(scene.repo, role);
  const names = [metadataFileName(role, version), metadataFileName(role), ...files.keys()];
  const name = names.find((candidate) => files.has(candidate))!;
  return [name, files.get(name)!];
}

/** The trusted keys and threshold of a role, from root or a delegation. */
export function trustOf(repo: RepositorySimulator, role: string): { keyids: string[]; threshold: number } | undefined {
  if (topLevel.some((name) => name === role)) return repo.root.roles[role];
  for (const { delegations } of repo.roles.values()) {
    const found = delegations?.roles?.find(({ name }) => name === role);
    if (found) return found;
  }
  return undefined;
}
