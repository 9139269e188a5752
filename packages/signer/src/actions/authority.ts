/** `countersign authority codesign|devices`. */
import type { Command } from 'commander';
import { proposeLine } from '../change/chains.ts';
import { readDraft } from '../change/drafts.ts';
import { given, changeWorkspace } from './session.ts';

const propose =
  (kind: 'codesign' | 'devices') =>
  (options: { file?: string }, command: Command): Promise<void> =>
    changeWorkspace(command, async (workspace, terminal) => {
      const file = await given(terminal, options.file, '--file', 'File with the draft');
      proposeLine(workspace, kind, readDraft(workspace, kind, file), new Date());
      return () =>
        terminal.answer({ authority: kind, file }, () =>
          terminal.print(`next version of the ${kind} authority proposed; sign the change to make it so`),
        );
    });

export const codesign = propose('codesign');
export const devices = propose('devices');
