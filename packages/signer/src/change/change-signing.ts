/**
 * Signs the pending change. Each key signs everything that it may sign and has not signed yet: authority versions first, since
 * the role that carries them can only be signed once they are complete, then roots, targets and the rest.
 */
import { payloadOf, goodSigners, signedBytes, signEnvelope } from '@countersign/protocol';
import type { OpenKey } from '../keys/key-uris.ts';
import { signerError } from '../workspace/errors.ts';
import type { RoleSignature, Workspace } from '../workspace/workspace.ts';
import { authorityKinds, keepLine, pendingLine, pendingLines, settleLines } from './chains.ts';
import { demandsOn, signingState, type SigningState } from './role-signatures.ts';

export interface SignedItem {
  /** A role, or `codesign version 2`. */
  readonly item: string;
  readonly keyid: string;
}

/** @throws CHANGE_EMPTY CHANGE_NOT_YOURS CHANGE_SIGNED */
export async function signChange(workspace: Workspace, keys: readonly OpenKey[], now: Date): Promise<SignedItem[]> {
  if (isEmpty(workspace)) throw signerError('CHANGE_EMPTY', `nothing is pending in ${workspace.directory}`);
  const signed: SignedItem[] = [];
  for (const kind of authorityKinds) {
    const line = pendingLine(workspace, kind);
    const able = keys.filter(({ keyid }) => line?.missing.includes(keyid));
    if (!line || able.length === 0) continue;
    const payload = payloadOf(line.envelope);
    const envelope = await signEnvelope(line.envelope.payloadType, payload, able, line.envelope.signatures);
    keepLine(workspace, kind, envelope.payload, envelope.signatures);
    signed.push(...able.map(({ keyid }) => ({ item: `${kind} version ${line.body.version}`, keyid })));
  }
  settleLines(workspace, now);
  for (const role of inOrder(workspace.pendingRoles())) {
    // It is made again once the authority versions are complete.
    if (role === 'authority' && pendingLines(workspace).length > 0) continue;
    signed.push(...(await signRole(workspace, role, keys)));
  }
  if (signed.length === 0) throw nothingToSign(workspace, keys);
  return signed;
}

function nothingToSign(workspace: Workspace, keys: readonly OpenKey[]): Error {
  const { roles, lines } = changeState(workspace);
  const signers = [
    ...lines.map(({ signed }) => signed),
    ...roles.flatMap(({ demands }) => demands.map((one) => one.signed)),
  ];
  if (keys.some(({ keyid }) => signers.some((ids) => ids.includes(keyid))))
    return signerError('CHANGE_SIGNED', 'the keys have signed all that they may sign by now');
  return signerError('CHANGE_NOT_YOURS', `none of the ${keys.length} keys may sign what is open here`);
}

/** Root, then targets, then the rest, so that a reader of the list first sees what the later ones depend on. */
const inOrder = (roles: readonly string[]): string[] =>
  [...roles].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
const rank = (role: string): number =>
  ['root', 'targets'].indexOf(role) + (role === 'root' || role === 'targets' ? 0 : 3);

async function signRole(workspace: Workspace, role: string, keys: readonly OpenKey[]): Promise<SignedItem[]> {
  const file = workspace.pendingRole(role)!;
  const bytes = signedBytes(file.signed);
  const signatures = new Map<string, RoleSignature>();
  const wanted = new Set<string>();
  for (const demand of demandsOn(workspace, role)) {
    for (const keyid of demand.role.keyids) wanted.add(keyid);
    // Drops signatures that are invalid or by a key that may not sign any more.
    const { signers } = goodSigners({ signatures: file.signatures, signedBytes: bytes }, demand.role, demand.keys);
    for (const keyid of signers)
      signatures.set(
        keyid,
        file.signatures.find((one) => one.keyid === keyid)!,
      );
  }
  const able = keys.filter(({ keyid }) => wanted.has(keyid) && !signatures.has(keyid));
  for (const { keyid, sign } of able)
    signatures.set(keyid, { keyid, sig: Buffer.from(await sign(bytes)).toString('hex') });
  if (able.length > 0) workspace.writePending(role, { signed: file.signed, signatures: [...signatures.values()] });
  return able.map(({ keyid }) => ({ item: role, keyid }));
}

export const isEmpty = (workspace: Workspace): boolean =>
  workspace.pendingRoles().length === 0 && pendingLines(workspace).length === 0;

export interface ChangeState {
  readonly roles: readonly SigningState[];
  readonly lines: readonly {
    readonly authority: string;
    readonly version: number;
    readonly signed: readonly string[];
    readonly missing: readonly string[];
    readonly complete: boolean;
  }[];
  readonly complete: boolean;
}

/** Who has signed which parts of the pending change. */
export function changeState(workspace: Workspace): ChangeState {
  const roles = inOrder(workspace.pendingRoles()).map((role) =>
    signingState(workspace, role, workspace.pendingRole(role)!),
  );
  const lines = pendingLines(workspace).map(({ kind, body, signed, missing, complete }) => ({
    authority: kind,
    version: body.version,
    signed,
    missing,
    complete,
  }));
  return { roles, lines, complete: lines.length === 0 && roles.every(({ complete }) => complete) };
}
