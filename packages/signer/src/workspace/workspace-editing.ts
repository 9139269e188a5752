/**
 * Makes, opens and edits a workspace. Must never leave half an edit: a command works on a copy of the state, and one durable
 * write of `countersign.json` makes the copy count. The next edit removes what a killed command left.
 */
import { linkSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder, removeLeftovers, syncFolder, takeLock, writeDurable } from '@countersign/protocol/node';
import { signerError } from './errors.ts';
import { entriesOf, readWorkspaceState, Workspace, writeWorkspaceState } from './workspace.ts';

/** A folder that becomes a workspace with its first edit. @throws WORKSPACE_EXISTS WORKSPACE_DAMAGED */
export function createWorkspace(directory: string): Workspace {
  const workspace = new Workspace(directory);
  if (workspace.state > 0) throw signerError('WORKSPACE_EXISTS', `${workspace.directory} holds a workspace`);
  makeFolder(workspace.directory);
  return workspace;
}

/** @throws WORKSPACE_MISSING WORKSPACE_DAMAGED */
export function openWorkspace(directory: string): Workspace {
  const workspace = new Workspace(directory);
  if (workspace.state === 0) throw signerError('WORKSPACE_MISSING', `${workspace.directory} holds no workspace`);
  return workspace;
}

/** The existing workspace, or a new one as by `createWorkspace`. @throws WORKSPACE_DAMAGED */
export function openOrCreateWorkspace(directory: string): Workspace {
  const workspace = new Workspace(directory);
  return workspace.state > 0 ? workspace : createWorkspace(directory);
}

/** Runs `work` as the only command in the workspace. @throws WORKSPACE_BUSY, and what `work` throws */
export async function withWorkspaceLock<T>(workspace: Workspace, work: () => Promise<T> | T): Promise<T> {
  const lock = takeLock(workspace.file('lock.db'), 2000);
  if (!lock) throw signerError('WORKSPACE_BUSY', `another command works in ${workspace.directory}`);
  try {
    workspace.refresh();
    return await work();
  } finally {
    lock.release();
  }
}

/**
 * Runs `work` on a copy of what is published and pending. When it returns, the copy counts; when it throws, or the process dies,
 * nothing has changed. The caller holds the lock.
 */
export async function editWorkspace<T>(workspace: Workspace, work: (copy: Workspace) => Promise<T> | T): Promise<T> {
  const states = workspace.file('state');
  const next = workspace.state + 1;
  makeFolder(states);
  removeLeftovers(workspace.directory);
  for (const name of readdirSync(states))
    if (name !== String(workspace.state)) rmSync(join(states, name), { recursive: true, force: true });
  const folder = join(states, String(next));
  try {
    copyTree(workspace.stateFile(), folder);
    const result = await work(new Workspace(workspace.directory, next));
    writeWorkspaceState(workspace.directory, next);
    workspace.refresh();
    return result;
  } catch (error) {
    if (readWorkspaceState(workspace.directory) !== next) rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Uses links if the disk has them: files are only ever replaced, so no edit reaches the original. */
function copyTree(from: string, to: string): void {
  makeFolder(to);
  for (const entry of entriesOf(from)) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      copyTree(source, target);
      continue;
    }
    try {
      linkSync(source, target);
    } catch {
      writeDurable(target, readFileSync(source));
    }
  }
  syncFolder(to);
}
