/**
 * Takes authority versions from somebody else's export. While a version lacks signatures, people exchange them. The person who
 * adds the last one puts the version into the role `authority`; for everybody else it then replaces their open version.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  shortDigest,
  authorityPath,
  readChain,
  signedBytes,
  type AuthorityKind,
  type Targets,
} from '@countersign/protocol';
import { signerError } from '../workspace/errors.ts';
import type { RoleFile, Workspace } from '../workspace/workspace.ts';
import { authorityKinds, dropLine, keepLine, pendingLine, publishedChain } from './chains.ts';
import type { ChangeFile } from './change-file.ts';

/**
 * Merges open versions, and leaves the role `authority` in `roles` only if it is to be imported. The file's documents are already
 * in the workspace. Returns how many signatures were new. @throws CHANGE_FILE CHANGE_CONFLICT
 */
export function mergeAuthority(copy: Workspace, lines: ChangeFile['lines'], roles: Map<string, RoleFile>): number {
  const theirs = roles.get('authority');
  const own = copy.pendingRole('authority');
  const closedByThem: AuthorityKind[] = [];
  const closedHere: AuthorityKind[] = [];
  let count = 0;
  for (const kind of authorityKinds) {
    const line = lines[kind];
    const open = pendingLine(copy, kind)?.envelope.payload;
    const closed = closedPayload(copy, kind, own);
    const theirClosed = closedPayload(copy, kind, theirs);
    const here = open ?? closed;
    const there = line?.payload ?? theirClosed;
    if (here !== undefined && there !== undefined && here !== there)
      throw signerError('CHANGE_CONFLICT', `the ${kind} authority in the file has other content than here`);
    if (line && closed === undefined) count += mergeLine(copy, kind, line);
    else if (open !== undefined && theirClosed !== undefined) closedByThem.push(kind);
    // The version that was complete here first stays; later ones add nothing to it.
    else if (closed !== undefined && (line !== undefined || isOther(own, theirs))) closedHere.push(kind);
  }
  if (closedByThem.length + closedHere.length === 0) return count;
  if (closedByThem.length > 0 && closedHere.length > 0) throw conflict();
  if (own && theirs && !isSameApart(own, theirs, [...closedByThem, ...closedHere])) throw conflict();
  if (closedHere.length > 0) roles.delete('authority');
  else copy.dropPending('authority');
  for (const kind of closedByThem) dropLine(copy, kind);
  return count;
}

const conflict = (): Error =>
  signerError('CHANGE_CONFLICT', 'the role authority in the file has other content than here');

/** Every signature in the file must be valid. */
function mergeLine(
  copy: Workspace,
  kind: AuthorityKind,
  line: NonNullable<ChangeFile['lines'][AuthorityKind]>,
): number {
  const own = pendingLine(copy, kind)?.envelope.signatures ?? [];
  const fresh = line.signatures.filter(({ keyid }) => !own.some((one) => one.keyid === keyid));
  keepLine(copy, kind, line.payload, line.signatures);
  const { signed, body } = attempt(kind, () => pendingLine(copy, kind)!);
  const expected = (publishedChain(copy, kind)?.version ?? 0) + 1;
  if (body.version !== expected)
    throw signerError('CHANGE_FILE', `the ${kind} authority has version ${body.version}, expected ${expected}`);
  const bad = line.signatures.find(({ keyid }) => !signed.includes(keyid));
  if (bad)
    throw signerError(
      'CHANGE_FILE',
      `the signature of key ${shortDigest(bad.keyid)} over the ${kind} authority does not hold`,
    );
  keepLine(copy, kind, line.payload, [...own, ...fresh]);
  return fresh.length;
}

/** The payload of the version that a role `authority` adds to what is published; undefined if it adds none. @throws CHANGE_FILE */
function closedPayload(copy: Workspace, kind: AuthorityKind, role: RoleFile | null | undefined): string | undefined {
  const path = authorityPath(kind);
  const target = (role?.signed as Targets | undefined)?.targets[path];
  if (!target) return undefined;
  const before = publishedChain(copy, kind);
  return attempt(kind, () => {
    const bytes = copy.documentOf(path, target);
    const { lines } = readChain(kind, bytes, before?.lines[0] ?? bytes, before?.digests ?? []);
    const added = lines.length - (before?.lines.length ?? 0);
    if (added > 1) throw new Error(`it adds ${added} versions at once`);
    return added === 0 ? undefined : (JSON.parse(lines.at(-1)!.toString('utf8')) as { payload: string }).payload;
  });
}

function attempt<T>(kind: AuthorityKind, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw signerError('CHANGE_FILE', `the ${kind} authority cannot be taken over: ${(cause as Error).message}`, {
      cause,
    });
  }
}

const isOther = (own: RoleFile | null, theirs: RoleFile | undefined): boolean =>
  own !== null && theirs !== undefined && !signedBytes(own.signed).equals(signedBytes(theirs.signed));

/** Equal except for these versions and for the expiry, which depends on the day on which the last version was closed. */
function isSameApart(own: RoleFile, theirs: RoleFile, kinds: readonly AuthorityKind[]): boolean {
  const rest = ({ signed }: RoleFile): object => {
    const { targets, ...others } = signed as Targets;
    const paths = kinds.map((kind) => authorityPath(kind));
    const kept = Object.entries(targets).filter(([path]) => !paths.includes(path));
    return { ...others, expires: '', targets: Object.fromEntries(kept) };
  };
  return isDeepStrictEqual(rest(own), rest(theirs));
}
