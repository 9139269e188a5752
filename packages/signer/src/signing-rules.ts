/** What code signatures are judged by in this workspace: the codesign authority as it is published or pending, and the revocations. */
import { join } from 'node:path';
import {
  authorityPath,
  maximumChainBytes,
  readChain,
  revocationsFormat,
  revocationsPath,
  revocationsType,
  type CodesignAuthority,
  type Revocations,
} from '@countersign/protocol';
import { readIfPresent } from '@countersign/protocol/node';

export interface SigningRules {
  readonly authority: CodesignAuthority;
  readonly revocations: Revocations;
}

const noRevocations: Revocations = { _type: revocationsType, certificates: [], keys: [], releases: [], minimum: {} };

/** Null before there is an authority. @throws AUTHORITY_* FORMAT_* */
export function readSigningRules(workspace: string): SigningRules | null {
  const trusted = (path: string, maximumBytes: number): Buffer | undefined =>
    readIfPresent(join(workspace, 'trusted', 'targets', ...path.split('/')), maximumBytes);
  const chain = trusted(authorityPath('codesign'), maximumChainBytes);
  if (!chain) return null;
  const revocations = trusted(revocationsPath, revocationsFormat.maximumBytes);
  return {
    authority: readChain('codesign', chain, chain).body,
    revocations: revocations ? revocationsFormat.parse(revocations) : noRevocations,
  };
}
