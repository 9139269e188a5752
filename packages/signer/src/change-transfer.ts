/**
 * A change in one file, so that people apart can review and sign it. The file carries no trust: every signature is verified when it
 * is taken over, every document must be what the role lists, and what contradicts the workspace is refused as a whole.
 */
import { existsSync } from 'node:fs';
import {
  goodSigners,
  openMetadata,
  parseJson,
  readRoot,
  readTargets,
  serialize,
  sha256,
  signedBytes,
  type Targets,
} from '@countersign/protocol';
import { readIfPresent } from '@countersign/protocol/node';
import { authorityKinds, keepLine, pendingLine, settleLines } from './chains.ts';
import { signerError } from './errors.ts';
import { demandsOn } from './roles.ts';
import { writePackage } from './shipped-package.ts';
import {
  createWorkspace,
  openWorkspace,
  withWorkspaceLock,
  writeSettings,
  type RoleFile,
  type Workspace,
} from './workspace.ts';

const exportType = 'https://countersign.dev/signer/change/v1';
const maximumFile = 128 << 20;

interface ExportedLine {
  readonly payload: string;
  readonly signatures: { keyid: string; sig: string }[];
}

interface Exported {
  readonly _type: typeof exportType;
  /** Published metadata that the change starts from, base64 by role. */
  readonly trusted: Record<string, string>;
  /** Documents that its roles list, base64 by target path and digest. */
  readonly documents: { path: string; bytes: string }[];
  readonly trustedDocuments: { path: string; bytes: string }[];
  readonly roles: Record<string, string>;
  readonly lines: Record<string, ExportedLine>;
}

const small = (role: string): boolean => role !== 'root' && role !== 'targets' && !role.startsWith('component-');

export function exportChange(workspace: Workspace): Buffer {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const documentsOf = (roles: readonly string[], which: 'trusted' | 'pending'): Exported['documents'] =>
    roles.filter(small).flatMap((role) => {
      const file = which === 'trusted' ? workspace.trustedRole(role) : workspace.pendingRole(role);
      return Object.entries((file!.signed as Targets).targets).map(([path, target]) => ({
        path,
        bytes: base64(workspace.documentOf(path, target)),
      }));
    });
  const change: Exported = {
    _type: exportType,
    trusted: Object.fromEntries(workspace.trustedRoles().map((role) => [role, base64(workspace.trustedBytes(role)!)])),
    trustedDocuments: documentsOf(workspace.trustedRoles(), 'trusted'),
    documents: documentsOf(workspace.pendingRoles(), 'pending'),
    roles: Object.fromEntries(
      workspace.pendingRoles().map((role) => {
        const { signed, signatures } = workspace.pendingRole(role)!;
        return [role, base64(serialize(signed, signatures))];
      }),
    ),
    lines: Object.fromEntries(
      authorityKinds.flatMap((kind) => {
        const line = pendingLine(workspace, kind);
        return line ? [[kind, { payload: line.envelope.payload, signatures: line.envelope.signatures }]] : [];
      }),
    ),
  };
  return Buffer.from(`${JSON.stringify(change)}\n`);
}

/** The workspace that is there, or a new one for somebody who only reviews and signs. */
export async function openOrJoin(
  directory: string,
  file: string,
  work: (workspace: Workspace) => Promise<void> | void,
): Promise<void> {
  if (!existsSync(file)) throw signerError('CHANGE_FILE', `${file} is missing`);
  let workspace: Workspace;
  try {
    workspace = openWorkspace(directory);
  } catch (error) {
    if ((error as { code?: string }).code !== 'WORKSPACE_MISSING') throw error;
    workspace = createWorkspace(directory);
  }
  await withWorkspaceLock(workspace, async () => {
    await work(workspace);
    writeSettings(workspace);
  });
}

export interface Imported {
  /** Signatures that were new here. */
  readonly signatures: number;
  readonly roles: readonly string[];
}

/** @throws CHANGE_FILE CHANGE_CONFLICT */
export function importChange(workspace: Workspace, file: string): Imported {
  const change = readExport(file);
  const roles = Object.entries(change.roles).map(([role, text]) => [role, readRole(role, text, file)] as const);
  checkSameBase(workspace, change, file);
  for (const [role, { signed }] of roles) {
    const own = workspace.pendingRole(role);
    if (own && !signedBytes(own.signed).equals(signedBytes(signed)))
      throw signerError('CHANGE_CONFLICT', `${role} version ${signed.version} in ${file} has other content than here`);
  }
  for (const kind of authorityKinds) {
    const [own, theirs] = [pendingLine(workspace, kind), change.lines[kind]];
    if (own && theirs && own.envelope.payload !== theirs.payload)
      throw signerError('CHANGE_CONFLICT', `the ${kind} authority in ${file} has other content than here`);
  }
  // Nothing was written so far: what follows cannot contradict any more.
  if (workspace.trustedRoles().length === 0) takeBase(workspace, change);
  for (const { path, bytes } of change.documents) workspace.keepDocument(path, Buffer.from(bytes, 'base64'));
  let count = 0;
  for (const kind of authorityKinds) {
    const theirs = change.lines[kind];
    if (!theirs) continue;
    const own = pendingLine(workspace, kind)?.envelope.signatures ?? [];
    const merged = [...own, ...theirs.signatures.filter(({ keyid }) => !own.some((one) => one.keyid === keyid))];
    keepLine(workspace, kind, theirs.payload, merged);
    // Only what verifies stays.
    const good = pendingLine(workspace, kind)!.signed;
    const kept = merged.filter(({ keyid }) => good.includes(keyid));
    keepLine(workspace, kind, theirs.payload, kept);
    count += kept.filter(({ keyid }) => !own.some((one) => one.keyid === keyid)).length;
  }
  for (const [role, theirs] of roles)
    if (!workspace.pendingRole(role)) workspace.writePending(role, { ...theirs, signatures: [] });
  for (const [role, theirs] of roles) count += mergeSignatures(workspace, role, theirs);
  settleLines(workspace, new Date());
  writePackage(workspace);
  return { signatures: count, roles: [...Object.keys(change.lines), ...roles.map(([role]) => role)] };
}

function mergeSignatures(workspace: Workspace, role: string, theirs: RoleFile): number {
  const own = workspace.pendingRole(role)!;
  const bytes = signedBytes(own.signed);
  const good = new Set<string>();
  for (const demand of demandsOn(workspace, role))
    for (const keyid of goodSigners({ signatures: theirs.signatures, signedBytes: bytes }, demand.role, demand.keys)
      .signers)
      good.add(keyid);
  const fresh = theirs.signatures.filter(
    ({ keyid }) => good.has(keyid) && !own.signatures.some((one) => one.keyid === keyid),
  );
  if (fresh.length > 0) workspace.writePending(role, { signed: own.signed, signatures: [...own.signatures, ...fresh] });
  return fresh.length;
}

/** A change starts from what is published; one from another state, or another repository, does not fit. */
function checkSameBase(workspace: Workspace, change: Exported, file: string): void {
  const here = workspace.trustedRoles();
  if (here.length === 0) return;
  for (const role of new Set([...here, ...Object.keys(change.trusted)])) {
    const own = workspace.trustedBytes(role);
    const theirs = change.trusted[role];
    if (!own || theirs === undefined || sha256(own) !== sha256(Buffer.from(theirs, 'base64')))
      throw signerError(
        'CHANGE_CONFLICT',
        `${file} starts from another published state of ${role} than this workspace`,
        {
          hint: 'bring both up to date with countersign change rebase URL',
        },
      );
  }
}

function takeBase(workspace: Workspace, change: Exported): void {
  const bytesOf = (text: string): Buffer => Buffer.from(text, 'base64');
  workspace.replaceTrusted(
    new Map(Object.entries(change.trusted).map(([role, text]) => [role, bytesOf(text)])),
    new Map(change.trustedDocuments.map(({ path, bytes }) => [path, bytesOf(bytes)])),
  );
}

function readExport(file: string): Exported {
  const bytes = readIfPresent(file, maximumFile);
  try {
    const value = parseJson(bytes ?? Buffer.alloc(0), file, maximumFile) as Exported;
    if (value._type !== exportType) throw new Error('it is no exported change');
    for (const part of ['trusted', 'roles', 'lines'] as const)
      if (typeof value[part] !== 'object' || value[part] === null) throw new Error(`it has no ${part}`);
    for (const role of [...Object.keys(value.trusted), ...Object.keys(value.roles)])
      if (!/^[a-z][a-z0-9-]{0,80}$/.test(role)) throw new Error('it names a role that cannot be');
    for (const part of ['documents', 'trustedDocuments'] as const)
      for (const { path } of value[part])
        if (!/^[a-z]+\/[a-z0-9-]+\.jsonl?$/.test(path)) throw new Error('it carries a document that cannot be');
    return value;
  } catch (cause) {
    throw signerError('CHANGE_FILE', `${file} is refused: ${(cause as Error).message}`, { cause });
  }
}

function readRole(role: string, text: string, file: string): RoleFile {
  try {
    const { signed, signatures } = openMetadata(Buffer.from(text, 'base64'), role);
    return { signed: role === 'root' ? readRoot(signed(), role) : readTargets(signed(), role), signatures };
  } catch (cause) {
    throw signerError('CHANGE_FILE', `${file}: ${role} cannot be read: ${(cause as Error).message}`, { cause });
  }
}
