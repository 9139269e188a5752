/**
 * Finds the code signatures of releases as their component roles list them: with what is pending or published, else with the
 * packed release. They carry the manifests, so those who sign a change can tell what it offers.
 */
import { channelFormat, releasePaths, sha256, type Offer, type ReleaseName, type Targets } from '@countersign/protocol';
import { readIfPresent } from '@countersign/protocol/node';
import type { Workspace } from '../workspace/workspace.ts';
import { bundlesFile } from './artifacts.ts';

export const componentRole = (component: string): string => `component-${component}`;

export const isBundles = (path: string): boolean => path.endsWith('.release.sigstore.jsonl');

/** Null if the role does not list the release, or its signatures are not here. */
export function bundlesOf(workspace: Workspace, name: ReleaseName): Buffer | null {
  const role = componentRole(name.component);
  const { targets } = ((workspace.pendingRole(role) ?? workspace.trustedRole(role))?.signed ?? {}) as Partial<Targets>;
  const path = releasePaths(name.component, name.version, name.platform).bundles;
  const target = targets && Object.hasOwn(targets, path) ? targets[path]! : undefined;
  if (!target) return null;
  const kept = workspace.keptBytes(path, target);
  if (kept) return kept;
  const packed = readIfPresent(bundlesFile(workspace.directory, name));
  return packed && sha256(packed) === target.hashes.sha256 ? packed : null;
}

/** Every offer of the channels that the change touches, pending and published. */
export function offersOf(workspace: Workspace): Offer[] {
  if (!workspace.pendingRole('channels')) return [];
  return (['next', 'published'] as const).flatMap((which) => {
    const role = which === 'next' ? workspace.pendingRole('channels') : workspace.trustedRole('channels');
    return Object.keys((role?.signed as Targets | undefined)?.targets ?? {}).flatMap(
      (path) => channelFormat.parse(workspace.readDocument('channels', path, which)!, path).offers,
    );
  });
}
