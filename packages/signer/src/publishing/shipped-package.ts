/**
 * Writes `package/`, which ships with a device: root 1 and version 1 of both authority chains. It exists as soon as all three are
 * signed. Until the first publication it follows the pending change; after that its files are never replaced.
 */
import { authorityPath, serialize } from '@countersign/protocol';
import {
  makeFolder,
  readShippedFile,
  removeLeftovers,
  shippedFiles,
  writeDurable,
  type ShippedPackage,
} from '@countersign/protocol/node';
import { signingState } from '../change/role-signatures.ts';
import type { Workspace } from '../workspace/workspace.ts';

/** Null if it is not complete. */
export function readPackage(folder: (name: string) => string): ShippedPackage | null {
  const read = (name: string): Buffer | undefined => readShippedFile(folder(name));
  const [root, codesign, devices] = [read(shippedFiles.root), read(shippedFiles.codesign), read(shippedFiles.devices)];
  return root && codesign && devices ? { root, codesign, devices } : null;
}

/** Writes the parts of the package that are missing or have changed. */
export function keepPackage(workspace: Workspace): void {
  const before = readPackage((name) => workspace.file('package', name));
  if (before && workspace.trustedRoles().length > 0) return;
  const shipped = packageOf(workspace);
  if (!shipped) return;
  makeFolder(workspace.file('package'));
  removeLeftovers(workspace.file('package'));
  for (const part of ['codesign', 'devices', 'root'] as const)
    if (!before?.[part].equals(shipped[part]))
      writeDurable(workspace.file('package', shippedFiles[part]), shipped[part]);
}

/** The package by the workspace's state; null if a part is not signed yet or not known here. */
function packageOf(workspace: Workspace): ShippedPackage | null {
  const root = workspace.firstRoot() ?? pendingFirstRoot(workspace);
  const line = (kind: 'codesign' | 'devices'): Buffer | null => {
    const chain = workspace.readDocument('authority', authorityPath(kind));
    return chain && chain.subarray(0, chain.indexOf(0x0a) + 1);
  };
  const [codesign, devices] = [line('codesign'), line('devices')];
  return root && codesign && devices ? { root, codesign, devices } : null;
}

function pendingFirstRoot(workspace: Workspace): Buffer | null {
  const root = workspace.pendingRole('root');
  if (root?.signed.version !== 1 || !signingState(workspace, 'root', root).complete) return null;
  return serialize(root.signed, root.signatures);
}
