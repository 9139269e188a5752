/**
 * Decides who must sign a role, and reports who has. A new root is signed by the threshold of the root before and by its own
 * (specification §5.3.4), targets by root's row, a delegated role by its row in targets. Rows count as they will be after
 * publishing.
 */
import { goodSigners, signedBytes, type Key, type Role, type Root } from '@countersign/protocol';
import { signerError } from '../workspace/errors.ts';
import type { RoleFile, Workspace } from '../workspace/workspace.ts';

/** One threshold that a role's signatures must reach. */
export interface Demand {
  /** Which metadata demands it. */
  readonly by: string;
  readonly role: Role;
  readonly keys: Readonly<Record<string, Key>>;
}

export interface SigningState {
  readonly role: string;
  readonly version: number;
  readonly expires: string;
  readonly complete: boolean;
  readonly demands: readonly {
    readonly by: string;
    readonly threshold: number;
    /** Key ids with a good signature, and those that may still sign. */
    readonly signed: readonly string[];
    readonly missing: readonly string[];
  }[];
}

/** @throws ROLE_UNKNOWN */
export function demandsOn(workspace: Workspace, role: string): Demand[] {
  if (role === 'root') {
    const next = workspace.root().signed;
    const before = workspace.trustedRole('root')?.signed as Root | undefined;
    const demands = [rootDemand(next)];
    if (before && before.version !== next.version) demands.unshift(rootDemand(before));
    return demands;
  }
  if (role === 'targets') {
    const { keys, roles, version } = workspace.root().signed;
    return [{ by: `root ${version}`, role: roles.targets, keys }];
  }
  const { delegations, version } = workspace.targets().signed;
  const row = delegations?.roles?.find(({ name }) => name === role);
  if (!row) throw signerError('ROLE_UNKNOWN', `targets delegates to no role ${role}`);
  return [{ by: `targets ${version}`, role: row, keys: delegations!.keys }];
}

const rootDemand = ({ version, roles, keys }: Root): Demand => ({ by: `root ${version}`, role: roles.root, keys });

export function signingState(workspace: Workspace, role: string, file: RoleFile): SigningState {
  const signed = { signatures: file.signatures, signedBytes: signedBytes(file.signed) };
  const demands = demandsOn(workspace, role).map((demand) => {
    const { signers, different } = goodSigners(signed, demand.role, demand.keys);
    return {
      by: demand.by,
      threshold: demand.role.threshold,
      signed: signers,
      missing: demand.role.keyids.filter((id) => !signers.includes(id)),
      enough: different >= demand.role.threshold,
    };
  });
  return {
    role,
    version: file.signed.version,
    expires: file.signed.expires,
    complete: demands.every(({ enough }) => enough),
    demands: demands.map(({ enough: _, ...demand }) => demand),
  };
}
