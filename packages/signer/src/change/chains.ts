/**
 * Keeps the pending version of an authority chain. Its signatures are collected separately from the role that carries it: they
 * stand in the chain's file, so the role can list that file only once they are complete.
 */
import { dirname } from 'node:path';
import {
  authorityPath,
  authorityPayload,
  chainSignatures,
  codesignPayloadType,
  devicesPayloadType,
  extendChain,
  parseJson,
  readChain,
  timeText,
  type AuthorityBodies,
  type AuthorityKind,
  type Envelope,
} from '@countersign/protocol';
import { makeFolder, readIfPresent, removeDurable, writeDurable } from '@countersign/protocol/node';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { editDocument } from './change-edits.ts';

export const authorityKinds: readonly AuthorityKind[] = ['codesign', 'devices'];
const payloadTypes = { codesign: codesignPayloadType, devices: devicesPayloadType } as const;
const maximumPending = 4 << 20;

/** A version that is being signed. */
export interface PendingLine<K extends AuthorityKind = AuthorityKind> {
  readonly kind: K;
  readonly body: AuthorityBodies[K];
  /** With no signatures yet, or with some. */
  readonly envelope: Envelope;
  readonly signed: readonly string[];
  readonly missing: readonly string[];
  readonly complete: boolean;
}

const fileOf = (workspace: Workspace, kind: AuthorityKind): string =>
  workspace.stateFile('change', 'authority', `${kind}.json`);

/** The published chain; null before the first publication. */
export function publishedChain<K extends AuthorityKind>(workspace: Workspace, kind: K) {
  const bytes = workspace.readDocument('authority', authorityPath(kind), 'published');
  return bytes ? readChain(kind, bytes, bytes) : null;
}

/** The body that will be in force after publishing, even if signatures are still missing; null before the first. */
export function nextBody<K extends AuthorityKind>(workspace: Workspace, kind: K): AuthorityBodies[K] | null {
  const pending = pendingLine(workspace, kind);
  if (pending) return pending.body;
  const bytes = workspace.pendingRole('authority')
    ? workspace.readDocument('authority', authorityPath(kind))
    : workspace.readDocument('authority', authorityPath(kind), 'published');
  return bytes ? readChain(kind, bytes, bytes).body : null;
}

/** Proposes the chain's next version; it replaces a pending one. @throws AUTHORITY_BODY FORMAT_* */
export function proposeLine<K extends AuthorityKind>(
  workspace: Workspace,
  kind: K,
  body: Omit<AuthorityBodies[K], 'version' | 'issued' | '_type'>,
  now: Date,
): void {
  const before = publishedChain(workspace, kind);
  const whole = {
    ...body,
    _type: `https://countersign.dev/authority/${kind}/v1`,
    version: (before?.version ?? 0) + 1,
    issued: timeText(now),
  } as unknown as AuthorityBodies[K];
  const { payload } = authorityPayload(kind, whole);
  const published = workspace.readDocument('authority', authorityPath(kind), 'published');
  // A version that was complete already stands in the role. It is taken out until the new one is complete.
  if (published) editDocument(workspace, 'authority', authorityPath(kind), published, now);
  keepLine(workspace, kind, payload.toString('base64'), []);
}

export function keepLine(
  workspace: Workspace,
  kind: AuthorityKind,
  payload: string,
  signatures: Envelope['signatures'],
): void {
  const file = fileOf(workspace, kind);
  makeFolder(dirname(file));
  writeDurable(file, JSON.stringify({ payload, signatures }));
}

export const dropLine = (workspace: Workspace, kind: AuthorityKind): void => removeDurable(fileOf(workspace, kind));

/** @throws WORKSPACE_DAMAGED */
export function pendingLine<K extends AuthorityKind>(workspace: Workspace, kind: K): PendingLine<K> | null {
  const file = fileOf(workspace, kind);
  const bytes = readIfPresent(file, maximumPending);
  if (!bytes) return null;
  try {
    const { payload, signatures } = parseJson(bytes, file, maximumPending) as Pick<Envelope, 'payload' | 'signatures'>;
    const body = JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as AuthorityBodies[K];
    // Judged as it will be when published, including its bytes.
    if (authorityPayload(kind, body).payload.toString('base64') !== payload) throw new Error('it has another form');
    const envelope: Envelope = { payload, payloadType: payloadTypes[kind], signatures };
    return { kind, body, envelope, ...chainSignatures(publishedChain(workspace, kind)?.body, body, envelope) };
  } catch (cause) {
    throw signerError('WORKSPACE_DAMAGED', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Every pending version. */
export const pendingLines = (workspace: Workspace): PendingLine[] =>
  authorityKinds.flatMap((kind) => pendingLine(workspace, kind) ?? []);

/** Puts complete versions into the authority role. True if there was one. */
export function settleLines(workspace: Workspace, now: Date): boolean {
  let settled = false;
  for (const { kind, envelope, complete } of pendingLines(workspace)) {
    if (!complete) continue;
    const bytes = extendChain(publishedChain(workspace, kind)?.lines ?? [], envelope);
    readChain(kind, bytes, bytes);
    editDocument(workspace, 'authority', authorityPath(kind), bytes, now);
    dropLine(workspace, kind);
    settled = true;
  }
  return settled;
}
