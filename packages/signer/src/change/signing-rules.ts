/**
 * Reads the rules that judge code signatures in this workspace: the codesign authority, published or pending, and the revocations.
 */
import {
  revocationsFormat,
  revocationsPath,
  noRevocations,
  type CodesignAuthority,
  type Revocations,
} from '@countersign/protocol';
import { Workspace } from '../workspace/workspace.ts';
import { nextBody } from './chains.ts';

export interface SigningRules {
  readonly authority: CodesignAuthority;
  readonly revocations: Revocations;
}

/** Null until there is an authority. @throws AUTHORITY_* FORMAT_* WORKSPACE_DAMAGED */
export function readSigningRules(directory: string): SigningRules | null {
  const workspace = new Workspace(directory);
  const authority = nextBody(workspace, 'codesign');
  return authority && { authority, revocations: nextRevocations(workspace) };
}

/** The revocations as they will be after publishing. */
export function nextRevocations(workspace: Workspace): Revocations {
  const bytes = workspace.readDocument('revocations', revocationsPath);
  return bytes ? revocationsFormat.parse(bytes, revocationsPath) : noRevocations;
}
