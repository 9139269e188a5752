/** `countersign init`: the workspace and the first change of a repository. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { terminalOf } from '@countersign/protocol/terminal';
import { bootstrap, readPublicOnlineKeys, type Bootstrap } from '../change/bootstrap.ts';
import { signChange } from '../change/change-signing.ts';
import { readDraft } from '../change/drafts.ts';
import { openKeys } from '../keys/key-uris.ts';
import { passphrasesOf, type KeyOptions } from '../keys/passphrases.ts';
import { roleKeys, type RoleKeys } from '../keys/role-keys.ts';
import { keepPackage } from '../publishing/shipped-package.ts';
import { createWorkspace, editWorkspace, withWorkspaceLock } from '../workspace/workspace-editing.ts';
import { fixedRoles, usualThresholds } from './first-roles.ts';
import { given, givenList, workspaceFolder } from './session.ts';

interface InitOptions extends KeyOptions {
  readonly onlineKeys?: string;
  readonly codesign?: string;
  readonly devices?: string;
  readonly channel: string;
  readonly [option: string]: unknown;
}

export async function init(options: InitOptions, command: Command): Promise<void> {
  const terminal = terminalOf(command);
  const folder = workspaceFolder(command);
  const workspace = createWorkspace(folder);
  await withWorkspaceLock(workspace, async () => {
    const roles = {} as Record<(typeof fixedRoles)[number], RoleKeys>;
    for (const role of fixedRoles) {
      const names = await givenList(
        terminal,
        options[role] as string[] | undefined,
        `--${role}`,
        `Keys of the role ${role}`,
      );
      const asked = options[`${role}Threshold`] as string | undefined;
      const usual = String(Math.min(Number(usualThresholds[role]), names.length));
      roles[role] = roleKeys(folder, role, names, Number(asked ?? usual));
    }
    const online = await given(terminal, options.onlineKeys, '--online-keys', 'File with the online keys');
    const codesign = await given(terminal, options.codesign, '--codesign', 'Draft of the code-signing authority');
    const devices = await given(terminal, options.devices, '--devices', 'Draft of the devices policy');
    const first: Bootstrap = {
      roles,
      online: readPublicOnlineKeys(online),
      codesign: readDraft(workspace, 'codesign', codesign),
      devices: readDraft(workspace, 'devices', devices),
      channel: options.channel,
    };
    const now = new Date();
    const keys = options.key ? await openKeys(folder, options.key, passphrasesOf(command, options)) : [];
    const signed = await editWorkspace(workspace, (copy) => {
      copy.discardChange();
      bootstrap(copy, first, now);
      return keys.length > 0 ? signChange(copy, keys, now) : [];
    });
    keepPackage(workspace);
    terminal.answer({ workspace: workspace.directory, signed }, () => {
      terminal.print(`workspace made in ${workspace.directory}`);
      if (signed.length === 0) terminal.print('next: countersign change sign --key KEY...');
      else
        terminal.print(
          `${signed.length} signatures made; what ships with a device: ${join(workspace.directory, 'package')}`,
        );
    });
  });
}
