/** `countersign change show|sign|export|import|discard|rebase`. */
import type { Command } from 'commander';
import { writeDurable } from '@countersign/protocol/node';
import { terminalOf } from '@countersign/protocol/terminal';
import { changeFileFormat, readChangeFile } from '../change/change-file.ts';
import { changeState, isEmpty, signChange } from '../change/change-signing.ts';
import { exportChange, importChange } from '../change/change-transfer.ts';
import { describeChange } from '../change/change-words.ts';
import { openKeys } from '../keys/key-uris.ts';
import { passphrasesOf, type KeyOptions } from '../keys/passphrases.ts';
import { rebaseChange } from '../publishing/change-rebase.ts';
import { keepPackage } from '../publishing/shipped-package.ts';
import { signerError } from '../workspace/errors.ts';
import { editWorkspace, openOrCreateWorkspace, withWorkspaceLock } from '../workspace/workspace-editing.ts';
import { printState } from './change-table.ts';
import { changeWorkspace, givenList, keyNames, withWorkspace, workspaceFolder } from './session.ts';

export const show = (_: unknown, command: Command): Promise<void> =>
  withWorkspace(command, (workspace, terminal) => {
    const effects = describeChange(workspace);
    const state = changeState(workspace);
    terminal.answer({ effects, ...state }, () => {
      if (isEmpty(workspace)) return terminal.print('nothing is pending');
      for (const line of effects) terminal.print(line);
      terminal.print();
      printState(workspace, terminal, state);
    });
  });

export const sign = (options: KeyOptions, command: Command): Promise<void> =>
  changeWorkspace(command, async (workspace, terminal) => {
    const uris = await givenList(terminal, options.key, '--key', 'Keys that sign');
    const keys = await openKeys(workspace.directory, uris, passphrasesOf(command, options));
    const signed = await signChange(workspace, keys, new Date());
    const { complete } = changeState(workspace);
    return () =>
      terminal.answer({ signed, complete }, () => {
        const nameOf = keyNames(workspace);
        for (const { item, keyid } of signed) terminal.print(`signed ${item} with ${nameOf(keyid)}`);
        terminal.note(
          complete ? 'next: countersign publish --to URL' : 'still lacks signatures: countersign change show',
        );
      });
  });

export const exportTo = (file: string, _: unknown, command: Command): Promise<void> =>
  withWorkspace(command, (workspace, terminal) => {
    if (isEmpty(workspace)) throw signerError('CHANGE_EMPTY', `nothing is pending in ${workspace.directory}`);
    const change = exportChange(workspace);
    const bytes = changeFileFormat.serialize(change);
    writeDurable(file, bytes);
    const { sha256 } = change;
    terminal.answer({ file, bytes: bytes.length, sha256 }, () => {
      terminal.print(`${file} written`);
      terminal.note(`whoever imports it is told the same: sha256 ${sha256}`);
    });
  });

export async function importFrom(file: string, _: unknown, command: Command): Promise<void> {
  const terminal = terminalOf(command);
  const change = readChangeFile(file);
  // Who only reviews and signs has no workspace yet.
  const workspace = openOrCreateWorkspace(workspaceFolder(command));
  const imported = await withWorkspaceLock(workspace, async () => {
    const taken = await editWorkspace(workspace, (copy) => importChange(copy, change));
    keepPackage(workspace);
    return { ...taken, sha256: change.sha256 };
  });
  terminal.answer(imported, () => {
    const { signatures, roles, sha256 } = imported;
    terminal.print(`${signatures} signatures taken over, ${roles.length} parts: ${roles.join(', ')}`);
    terminal.note(`whoever exported it was told the same: sha256 ${sha256}`);
  });
}

export const discard = (_: unknown, command: Command): Promise<void> =>
  withWorkspace(command, async (workspace, terminal) => {
    const dropped = workspace.pendingRoles();
    await editWorkspace(workspace, (copy) => copy.discardChange());
    terminal.answer({ dropped }, () => terminal.print('the change is dropped; what is published stays'));
  });

export const rebase = (place: string, _: unknown, command: Command): Promise<void> =>
  changeWorkspace(command, async (workspace, terminal) => {
    const rebased = await rebaseChange(workspace, place, new Date());
    return () =>
      terminal.answer(rebased, () =>
        terminal.print(
          rebased.roles.length === 0
            ? 'up to date with what is published; nothing is left of the change'
            : `made again: ${rebased.roles.join(', ')}; sign it anew`,
        ),
      );
  });
