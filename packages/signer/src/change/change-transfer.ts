/**
 * Exports a change to a file and imports it for another person. An import judges everything: the published state that the change
 * starts from is this workspace's own (for a new person: completely signed), every document is what its role lists, every
 * signature is valid, nothing contradicts what is here. Otherwise it refuses the whole file. It writes while it judges, so call
 * it on a copy.
 */
import {
  shortDigest,
  checkProfile,
  goodSigners,
  readRoot,
  openMetadata,
  releasePaths,
  serialize,
  sha256,
  signedBytes,
  type Root,
  type Targets,
} from '@countersign/protocol';
import { bundlesOf, isBundles, offersOf, componentRole } from '../releases/release-bundles.ts';
import { signerError } from '../workspace/errors.ts';
import type { RoleFile, Workspace } from '../workspace/workspace.ts';
import { mergeAuthority } from './authority-transfer.ts';
import { authorityKinds, pendingLine, settleLines } from './chains.ts';
import { changeFileType, readRoleText, sealChange, type ChangeFile } from './change-file.ts';
import { demandsOn, signingState } from './role-signatures.ts';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const bytesOf = (text: string): Buffer => Buffer.from(text, 'base64');
const isSmall = (role: string): boolean => role !== 'root' && role !== 'targets' && !role.startsWith('component-');

/** @throws WORKSPACE_DAMAGED */
export function exportChange(workspace: Workspace): ChangeFile {
  const firstRoot = workspace.firstRoot();
  return sealChange({
    _type: changeFileType,
    trusted: Object.fromEntries(workspace.trustedRoles().map((role) => [role, base64(workspace.trustedBytes(role)!)])),
    trustedDocuments: [
      ...workspace
        .trustedRoles()
        .filter(isSmall)
        .flatMap((role) => documentsOf(workspace, workspace.trustedRole(role)!)),
      ...offeredBundles(workspace),
    ],
    ...(firstRoot ? { firstRoot: base64(firstRoot) } : {}),
    roles: Object.fromEntries(
      workspace.pendingRoles().map((role) => {
        const { signed, signatures } = workspace.pendingRole(role)!;
        return [role, base64(serialize(signed, signatures))];
      }),
    ),
    documents: workspace.pendingRoles().flatMap((role) => {
      const file = workspace.pendingRole(role)!;
      return isSmall(role) ? documentsOf(workspace, file) : newBundles(workspace, role, file);
    }),
    lines: Object.fromEntries(
      authorityKinds.flatMap((kind) => {
        const line = pendingLine(workspace, kind);
        return line ? [[kind, { payload: line.envelope.payload, signatures: line.envelope.signatures }]] : [];
      }),
    ),
  });
}

const documentsOf = (workspace: Workspace, { signed }: RoleFile): ChangeFile['documents'] =>
  Object.entries((signed as Targets).targets).map(([path, target]) => ({
    path,
    bytes: base64(workspace.documentOf(path, target)),
  }));

/** The code signatures of releases that the change adds, so that everyone who signs the change can read their manifests. */
function newBundles(workspace: Workspace, role: string, { signed }: RoleFile): ChangeFile['documents'] {
  if (!role.startsWith('component-')) return [];
  const before = (workspace.trustedRole(role)?.signed as Targets | undefined)?.targets ?? {};
  return Object.entries((signed as Targets).targets)
    .filter(([path, { hashes }]) => isBundles(path) && before[path]?.hashes.sha256 !== hashes.sha256)
    .map(([path, target]) => ({ path, bytes: base64(workspace.documentOf(path, target)) }));
}

/** The code signatures of published releases that are offered, so that everyone who signs the offers can read their manifests. */
function offeredBundles(workspace: Workspace): ChangeFile['documents'] {
  const found = new Map<string, Buffer>();
  for (const { component, version, platform } of offersOf(workspace)) {
    const path = releasePaths(component, version, platform).bundles;
    const target = (workspace.trustedRole(componentRole(component))?.signed as Targets | undefined)?.targets[path];
    const bytes = bundlesOf(workspace, { component, version, platform });
    if (bytes && sha256(bytes) === target?.hashes.sha256) found.set(path, bytes);
  }
  return [...found].map(([path, bytes]) => ({ path, bytes: base64(bytes) }));
}

export interface Imported {
  /** How many signatures were new here. */
  readonly signatures: number;
  readonly roles: readonly string[];
}

/** @throws CHANGE_FILE CHANGE_CONFLICT */
export function importChange(copy: Workspace, change: ChangeFile): Imported {
  const roles = new Map(Object.entries(change.roles).map(([role, text]) => [role, readRoleText(role, text)]));
  if (copy.trustedRoles().length === 0 && Object.keys(change.trusted).length > 0) takeBase(copy, change);
  else checkSameBase(copy, change);
  const published = copy.trustedRoles().map((role) => copy.trustedRole(role)!);
  checkListed(published, change.trustedDocuments);
  const bundles = change.trustedDocuments.filter(({ path }) => isBundles(path));
  copy.replaceTrusted(new Map(), new Map(bundles.map(({ path, bytes }) => [path, bytesOf(bytes)])));
  for (const { path, bytes } of change.documents) copy.keepDocument(path, bytesOf(bytes));
  checkListed([...roles.values()], change.documents);
  let count = mergeAuthority(copy, change.lines, roles);
  for (const [role, file] of roles) takeRole(copy, role, file);
  for (const role of ['root', 'targets'])
    if (!copy.pendingRole(role) && !copy.trustedRole(role)) throw signerError('CHANGE_FILE', `the file has no ${role}`);
  for (const [role, { signed }] of roles) if (isSmall(role)) readListed(copy, signed as Targets);
  for (const [role, file] of roles) count += mergeSignatures(copy, role, file);
  settleLines(copy, new Date());
  return { signatures: count, roles: [...Object.keys(change.lines), ...Object.keys(change.roles)] };
}

/** Takes the role from the file, without its signatures, unless it is here already. */
function takeRole(copy: Workspace, role: string, { signed }: RoleFile): void {
  const own = copy.pendingRole(role);
  if (own && !signedBytes(own.signed).equals(signedBytes(signed)))
    throw signerError('CHANGE_CONFLICT', `${role} version ${signed.version} of the file has other content than here`);
  if (own) return;
  const version = (copy.trustedRole(role)?.signed.version ?? 0) + 1;
  if (signed.version !== version)
    throw signerError('CHANGE_FILE', `${role} has version ${signed.version}, expected ${version}`);
  try {
    checkProfile(role, signed, serialize(signed, []));
  } catch (cause) {
    throw signerError('CHANGE_FILE', `no device would take ${role}: ${(cause as Error).message}`, { cause });
  }
  copy.writePending(role, { signed, signatures: [] });
}

/** Checks that each document is what one of the roles lists. */
function checkListed(roles: readonly RoleFile[], documents: ChangeFile['documents']): void {
  const listed = new Set<string>();
  for (const { signed } of roles)
    if (signed._type === 'targets')
      for (const [path, { hashes }] of Object.entries(signed.targets)) listed.add(`${path} ${hashes.sha256!}`);
  const odd = documents.find(({ path, bytes }) => !listed.has(`${path} ${sha256(bytesOf(bytes))}`));
  if (odd) throw signerError('CHANGE_FILE', `the file carries ${odd.path}, which its roles do not list like that`);
}

/** Checks that each document that a small role lists is there. */
function readListed(copy: Workspace, { targets }: Targets): void {
  for (const [path, target] of Object.entries(targets))
    try {
      copy.documentOf(path, target);
    } catch (cause) {
      throw signerError('CHANGE_FILE', `${path} is listed in the file, and is not in it`, { cause });
    }
}

/** Every signature in the file must be valid: an invalid one means that somebody changed what was signed. */
function mergeSignatures(copy: Workspace, role: string, { signed, signatures }: RoleFile): number {
  const own = copy.pendingRole(role)!;
  const envelope = { signatures, signedBytes: signedBytes(signed) };
  const good = new Set(
    demandsOn(copy, role).flatMap((demand) => goodSigners(envelope, demand.role, demand.keys).signers),
  );
  const bad = signatures.find(({ keyid }) => !good.has(keyid));
  if (bad)
    throw signerError('CHANGE_FILE', `the signature of key ${shortDigest(bad.keyid)} over ${role} does not hold`);
  const fresh = signatures.filter(({ keyid }) => !own.signatures.some((one) => one.keyid === keyid));
  if (fresh.length > 0) copy.writePending(role, { signed: own.signed, signatures: [...own.signatures, ...fresh] });
  return fresh.length;
}

/** A change starts from what is published; one from another state, or another repository, does not fit. */
function checkSameBase(copy: Workspace, { trusted }: ChangeFile): void {
  for (const role of new Set([...copy.trustedRoles(), ...Object.keys(trusted)])) {
    const own = copy.trustedBytes(role);
    const theirs = trusted[role];
    if (!own || theirs === undefined || sha256(own) !== sha256(bytesOf(theirs)))
      throw signerError('CHANGE_CONFLICT', `the file starts from another published ${role} than this workspace`, {
        hint: 'bring both up to date with countersign change rebase URL, then export and import again',
      });
  }
}

/** A new person has nothing to compare with, so the published state must be completely signed, from its own root down. */
function takeBase(copy: Workspace, { trusted, trustedDocuments, firstRoot }: ChangeFile): void {
  const first = firstRoot === undefined ? null : bytesOf(firstRoot);
  const pending = copy.pendingRole('root');
  if (pending && (!first || !signedBytes(pending.signed).equals(signedBytes(rootOf(first)))))
    throw signerError('CHANGE_CONFLICT', 'the file is of another repository than the change that is pending here');
  // It was part of the first publication, which is done.
  copy.discardChange();
  copy.replaceTrusted(
    new Map(Object.entries(trusted).map(([role, text]) => [role, bytesOf(text)])),
    new Map(trustedDocuments.map(({ path, bytes }) => [path, bytesOf(bytes)])),
  );
  if (first) copy.keepFirstRoot(first);
  try {
    if (first && !isFirstRoot(first)) throw new Error('its root 1 is not signed by its own keys');
    for (const role of copy.trustedRoles()) {
      const file = copy.trustedRole(role)!;
      if (!signingState(copy, role, file).complete) throw new Error(`${role} is not signed by its keys`);
      if (isSmall(role))
        for (const [path, target] of Object.entries((file.signed as Targets).targets)) copy.documentOf(path, target);
    }
  } catch (cause) {
    throw signerError('CHANGE_FILE', `the published state in the file does not hold: ${(cause as Error).message}`, {
      cause,
    });
  }
}

const rootOf = (bytes: Uint8Array): Root => readRoot(openMetadata(bytes, 'root 1').signed());

function isFirstRoot(bytes: Uint8Array): boolean {
  const { version, roles, keys } = rootOf(bytes);
  const { different } = goodSigners(openMetadata(bytes, 'root 1'), roles.root, keys);
  return version === 1 && different >= roles.root.threshold;
}
