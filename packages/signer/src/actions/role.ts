/** `countersign role delegate|keys` and `renew`. */
import type { Command } from 'commander';
import { rolePaths, type Root } from '@countersign/protocol';
import { delegate, writeRole, writeVersion } from '../change/change-edits.ts';
import { roleKeys, type RoleKeys } from '../keys/role-keys.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { givenList, changeWorkspace } from './session.ts';

interface RoleOptions {
  readonly roleKey?: string[];
  readonly threshold: string;
}

type Act = (workspace: Workspace, role: string, keys: RoleKeys, now: Date) => void;

/** Does the same with each role, with the keys that are given or asked for. */
const withKeys =
  (act: Act) =>
  (roles: string[], options: RoleOptions, command: Command): Promise<void> =>
    changeWorkspace(command, async (workspace, terminal) => {
      const words = roles.join(', ');
      const names = await givenList(terminal, options.roleKey, '--role-key', `Keys of ${words}`);
      const threshold = Number(options.threshold);
      for (const role of roles) act(workspace, role, roleKeys(workspace.directory, role, names, threshold), new Date());
      return () =>
        terminal.answer({ roles, keys: names, threshold }, () =>
          terminal.print(`${words}: ${threshold} of ${names.join(', ')}; sign the change to make it so`),
        );
    });

export const delegateRoles = withKeys((workspace, name, keys, now) => {
  if (!/^component-/.test(name) || rolePaths(name) === undefined)
    throw signerError('ROLE_UNKNOWN', `${name} is no role of a component: component-NAME`);
  if (workspace.delegatedRoles().includes(name))
    throw signerError('ROLE_UNKNOWN', `there is a role ${name} already`, {
      hint: 'countersign role keys gives it other keys',
    });
  delegate(workspace, name, keys, now);
});

export const giveKeys = withKeys((workspace, name, keys, now) => {
  if (name === 'root' || name === 'targets') return changeRootKeys(workspace, name, keys, now);
  if (!workspace.delegatedRoles().includes(name)) throw signerError('ROLE_UNKNOWN', `there is no role ${name}`);
  delegate(workspace, name, keys, now);
});

export const renew = (names: string[], _: unknown, command: Command): Promise<void> =>
  changeWorkspace(command, (workspace, terminal) => {
    for (const name of names) {
      const { signed } = workspace.role(name);
      writeVersion(workspace, name, signed, new Date());
    }
    return () =>
      terminal.answer({ renewed: names }, () => terminal.print(`${names.join(', ')}: sign the change to make it so`));
  });

/** Root and targets get their keys from root; what is signed by old keys is signed anew. */
function changeRootKeys(
  workspace: Workspace,
  name: 'root' | 'targets',
  { keys, threshold }: RoleKeys,
  now: Date,
): void {
  const { signed } = workspace.root();
  const roles: Root['roles'] = { ...signed.roles, [name]: { keyids: Object.keys(keys), threshold } };
  const used = new Set(Object.values(roles).flatMap(({ keyids }) => keyids));
  const all = Object.entries({ ...signed.keys, ...keys }).filter(([id]) => used.has(id));
  writeRole(workspace, 'root', { ...signed, keys: Object.fromEntries(all), roles }, now);
  if (name === 'targets') writeVersion(workspace, 'targets', workspace.targets().signed, now);
}
