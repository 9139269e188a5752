/** What the commands share: the workspace of `--workspace`, questions for missing options, names for key ids. */
import { shortDigest, escapeText, keyIdOf } from '@countersign/protocol';
import { isCancel, text } from '@clack/prompts';
import type { Command } from 'commander';
import { terminalOf, canAsk, type Terminal } from '@countersign/protocol/terminal';
import { readPublicKeyFile } from '../keys/key-files.ts';
import { listKeys } from '../keys/key-uris.ts';
import { keepPackage } from '../publishing/shipped-package.ts';
import { signerError } from '../workspace/errors.ts';
import { editWorkspace, openWorkspace, withWorkspaceLock } from '../workspace/workspace-editing.ts';
import type { Workspace } from '../workspace/workspace.ts';

export const workspaceFolder = (command: Command): string => command.optsWithGlobals<{ workspace: string }>().workspace;

/** Opens the workspace and locks other commands out of it meanwhile. */
export async function withWorkspace<T>(
  command: Command,
  work: (workspace: Workspace, terminal: Terminal) => Promise<T> | T,
): Promise<T> {
  const workspace = openWorkspace(workspaceFolder(command));
  return withWorkspaceLock(workspace, () => work(workspace, terminalOf(command)));
}

/**
 * Edits the workspace, wholly or not at all. The edit returns a function that is called once the edit counts, to report it. The
 * shipped package is updated before and after, since a command may have died in between.
 */
export const changeWorkspace = (
  command: Command,
  edit: (workspace: Workspace, terminal: Terminal) => Promise<() => void> | (() => void),
): Promise<void> =>
  withWorkspace(command, async (workspace, terminal) => {
    keepPackage(workspace);
    const say = await editWorkspace(workspace, (copy) => edit(copy, terminal));
    keepPackage(workspace);
    say();
  });

/** The option's value, or a person's answer. @throws OPTION_NEEDED */
export async function given(
  terminal: Terminal,
  value: string | undefined,
  flag: string,
  question: string,
): Promise<string> {
  if (value !== undefined) return value;
  if (!canAsk(terminal)) throw signerError('OPTION_NEEDED', `${flag} is not given and nobody can be asked`);
  const answer = await text({ message: question, validate: (words) => (words ? undefined : 'an answer is needed') });
  if (isCancel(answer)) throw signerError('OPTION_NEEDED', `${flag} was not answered`);
  return answer;
}

/** Several names, typed with blanks between them. */
export async function givenList(
  terminal: Terminal,
  value: readonly string[] | undefined,
  flag: string,
  question: string,
): Promise<string[]> {
  if (value !== undefined && value.length > 0) return [...value];
  return (await given(terminal, undefined, flag, question)).split(/\s+/).filter(Boolean);
}

/** The names of the keys whose public halves are here, by key id. */
export function keyNames(workspace: Workspace): (keyid: string) => string {
  const names = new Map<string, string>();
  for (const { name, file } of listKeys(workspace.directory)) {
    try {
      names.set(keyIdOf(readPublicKeyFile(file.publicFile)), name);
    } catch {
      // `doctor` reports a damaged key file; here the key only has no name.
    }
  }
  return (keyid) => names.get(keyid) ?? escapeText(shortDigest(keyid));
}
