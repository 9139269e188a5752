/** `package/`: what ships with a device, root 1 and version 1 of both authority chains. Written once, when all three are signed. */
import { authorityPath, serialize } from '@countersign/protocol';
import { makeFolder, readIfPresent, writeDurable } from '@countersign/protocol/node';
import { signingState } from './roles.ts';
import type { Workspace } from './workspace.ts';

const maximumFile = 8 << 20;

export function writePackage(workspace: Workspace): void {
  const root = workspace.pendingRole('root');
  if (root?.signed.version !== 1 || !signingState(workspace, 'root', root).complete) return;
  if (!workspace.pendingRole('authority')) return;
  const codesign = workspace.readDocument('authority', authorityPath('codesign'));
  const devices = workspace.readDocument('authority', authorityPath('devices'));
  if (!codesign || !devices) return;
  makeFolder(workspace.file('package'));
  writeDurable(workspace.file('package', 'codesign.jsonl'), codesign);
  writeDurable(workspace.file('package', 'devices.jsonl'), devices);
  writeDurable(workspace.file('package', 'root.json'), serialize(root.signed, root.signatures));
}

export interface ShippedPackage {
  readonly root: Buffer;
  readonly codesign: Buffer;
  readonly devices: Buffer;
}

/** Null where it is not complete. */
export function readPackage(folder: (name: string) => string): ShippedPackage | null {
  const read = (name: string): Buffer | undefined => readIfPresent(folder(name), maximumFile);
  const [root, codesign, devices] = [read('root.json'), read('codesign.jsonl'), read('devices.jsonl')];
  return root && codesign && devices ? { root, codesign, devices } : null;
}
