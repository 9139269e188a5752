/**
 * A signer's workspace: `state/N/trusted/` is what is published, `state/N/change/` what is pending, `artifacts/` packed releases,
 * `keys/` key files, `package/` what ships with a device. `countersign.json` says which N counts. Invariants: the state that
 * counts is never edited; a command edits a copy, which then counts as a whole or not at all; `trusted/` changes only to what a
 * server published; a document counts only as the role's metadata lists it. Two commands never work at the same time.
 */
import { readdirSync, rmSync, type Dirent } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import {
  codeOf,
  openMetadata,
  parseJson,
  readRoot,
  readTargets,
  serialize,
  sha256,
  type Root,
  type Target,
  type Targets,
} from '@countersign/protocol';
import { makeFolder, readIfPresent, removeDurable, syncFolder, writeDurable } from '@countersign/protocol/node';
import { signerError } from './errors.ts';

export interface RoleSignature {
  readonly keyid: string;
  readonly sig: string;
}

/** A role's metadata with the signatures that it has so far. */
export interface RoleFile<T extends Root | Targets = Root | Targets> {
  readonly signed: T;
  readonly signatures: readonly RoleSignature[];
}

const settingsType = 'https://countersign.dev/signer/workspace/v1';
const maximumMetadata = 8 << 20;
const maximumDocument = 16 << 20;

export class Workspace {
  readonly directory: string;
  #state: number;

  /** `state` is given for an edited copy; else it is the one that counts. @throws WORKSPACE_DAMAGED */
  constructor(directory: string, state?: number) {
    this.directory = resolve(directory);
    this.#state = state ?? readWorkspaceState(this.directory) ?? 0;
  }

  /** The number of this copy of what is published and pending. */
  get state(): number {
    return this.#state;
  }

  /** Switches to the state that counts now. @throws WORKSPACE_DAMAGED */
  refresh(): void {
    this.#state = readWorkspaceState(this.directory) ?? 0;
  }

  file(...names: readonly string[]): string {
    return join(this.directory, ...names);
  }

  /** The path of a file in this state. */
  stateFile(...names: readonly string[]): string {
    return this.file('state', String(this.#state), ...names);
  }

  /** The published role; null before it is published. */
  trustedRole(role: string): RoleFile | null {
    return this.#readRole(this.stateFile('trusted', 'metadata', `${role}.json`), role);
  }

  /** The role's next version with the signatures so far; null if the change does not touch it. */
  pendingRole(role: string): RoleFile | null {
    return this.#readRole(this.stateFile('change', 'metadata', `${role}.json`), role);
  }

  /** The role as it would be after publishing. @throws ROLE_UNKNOWN */
  role(role: string): RoleFile {
    const found = this.pendingRole(role) ?? this.trustedRole(role);
    if (!found) throw signerError('ROLE_UNKNOWN', `there is no role ${role} in ${this.directory}`);
    return found;
  }

  root = (): RoleFile<Root> => this.role('root') as RoleFile<Root>;
  targets = (role = 'targets'): RoleFile<Targets> => this.role(role) as RoleFile<Targets>;

  /** Every delegated role's name, as it would be after publishing. */
  delegatedRoles(): string[] {
    return (this.targets().signed.delegations?.roles ?? []).map(({ name }) => name);
  }

  pendingRoles(): string[] {
    return namesIn(this.stateFile('change', 'metadata')).map((name) => name.slice(0, -'.json'.length));
  }

  trustedRoles(): string[] {
    return namesIn(this.stateFile('trusted', 'metadata'))
      .map((name) => name.slice(0, -'.json'.length))
      .filter((name) => !/^\d+\./.test(name));
  }

  writePending(role: string, file: RoleFile): void {
    const target = this.stateFile('change', 'metadata', `${role}.json`);
    makeFolder(dirname(target));
    writeDurable(target, serialize(file.signed, file.signatures));
  }

  dropPending(role: string): void {
    removeDurable(this.stateFile('change', 'metadata', `${role}.json`));
  }

  /** A small document as it would be after publishing, or as it is published; null where the role does not list it. */
  readDocument(role: string, path: string, which: 'next' | 'published' = 'next'): Buffer | null {
    const file = which === 'next' ? (this.pendingRole(role) ?? this.trustedRole(role)) : this.trustedRole(role);
    const listed = (file?.signed as Targets | undefined)?.targets ?? {};
    const target = Object.hasOwn(listed, path) ? listed[path] : undefined;
    return target ? this.documentOf(path, target) : null;
  }

  /** @throws WORKSPACE_DAMAGED */
  documentOf(path: string, target: Target): Buffer {
    const bytes = this.keptBytes(path, target);
    if (bytes) return bytes;
    throw signerError('WORKSPACE_DAMAGED', `${path} in ${this.directory} is not the file that its role lists`);
  }

  /** As `documentOf`, but null if it is not here. */
  keptBytes(path: string, target: Target): Buffer | null {
    const trusted = this.stateFile('trusted', 'targets', ...path.split('/'));
    return this.changedBytes(path, target) ?? readListed(trusted, target);
  }

  /** A document that came with the change; null if it is not here. */
  changedBytes = (path: string, target: Target): Buffer | null =>
    readListed(this.changedDocument(path, target.hashes.sha256!), target);

  /** The path of a document of the change, by its digest, so that a later document never replaces it half-way. */
  changedDocument(path: string, digest: string): string {
    const cut = path.lastIndexOf('/') + 1;
    return this.stateFile('change', 'targets', ...path.slice(0, cut).split('/'), `${digest}.${path.slice(cut)}`);
  }

  /** Keeps a document of the change; returns the role's entry for it. */
  keepDocument(path: string, bytes: Uint8Array): Target {
    const digest = sha256(bytes);
    const file = this.changedDocument(path, digest);
    makeFolder(dirname(file));
    writeDurable(file, bytes);
    return { length: bytes.length, hashes: { sha256: digest } };
  }

  /** Root 1 as it was published here; null if only later ones are known. */
  firstRoot(): Buffer | null {
    return readIfPresent(this.stateFile('trusted', 'metadata', '1.root.json'), maximumMetadata) ?? null;
  }

  keepFirstRoot(bytes: Uint8Array): void {
    makeFolder(this.stateFile('trusted', 'metadata'));
    writeDurable(this.stateFile('trusted', 'metadata', '1.root.json'), bytes);
  }

  /** Replaces the published state by exactly these roles and documents. */
  replaceTrusted(roles: ReadonlyMap<string, Uint8Array>, documents: ReadonlyMap<string, Uint8Array>): void {
    for (const [path, bytes] of documents) {
      const file = this.stateFile('trusted', 'targets', ...path.split('/'));
      makeFolder(dirname(file));
      writeDurable(file, bytes);
    }
    makeFolder(this.stateFile('trusted', 'metadata'));
    for (const [role, bytes] of roles) {
      writeDurable(this.stateFile('trusted', 'metadata', `${role}.json`), bytes);
      if (role === 'root') {
        const version = readRoot(openMetadata(bytes, role).signed()).version;
        writeDurable(this.stateFile('trusted', 'metadata', `${version}.root.json`), bytes);
      }
    }
  }

  /** The exact bytes of a published role; null if it is not published. */
  trustedBytes(role: string): Buffer | null {
    return readIfPresent(this.stateFile('trusted', 'metadata', `${role}.json`), maximumMetadata) ?? null;
  }

  discardChange(): void {
    rmSync(this.stateFile('change'), { recursive: true, force: true });
    makeFolder(this.stateFile());
    syncFolder(this.stateFile());
  }

  #readRole(file: string, role: string): RoleFile | null {
    const bytes = readIfPresent(file, maximumMetadata);
    if (!bytes) return null;
    try {
      const { signed, signatures } = openMetadata(bytes, role);
      return { signed: role === 'root' ? readRoot(signed(), role) : readTargets(signed(), role), signatures };
    } catch (cause) {
      throw signerError('WORKSPACE_DAMAGED', `${file} cannot be read: ${(cause as Error).message}`, { cause });
    }
  }
}

/** Null if it is not what is listed. */
function readListed(file: string, target: Target): Buffer | null {
  const bytes = readIfPresent(file, maximumDocument);
  return bytes?.length === target.length && sha256(bytes) === target.hashes.sha256 ? bytes : null;
}

const namesIn = (folder: string): string[] =>
  entriesOf(folder)
    .map(({ name }) => name)
    .filter((name) => name.endsWith('.json'))
    .sort();

/** What the folder holds; empty if it does not exist. */
export function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return [];
    throw cause;
  }
}

/** Makes this state the one that counts. */
export const writeWorkspaceState = (directory: string, state: number): void =>
  writeDurable(join(directory, 'countersign.json'), `${JSON.stringify({ _type: settingsType, state }, null, 2)}\n`);

/** The number of the state that counts; null if there is no workspace. @throws WORKSPACE_DAMAGED */
export function readWorkspaceState(directory: string): number | null {
  const file = join(directory, 'countersign.json');
  const bytes = readIfPresent(file, 1 << 16);
  if (!bytes) return null;
  try {
    const { _type, state } = parseJson(bytes, file, 1 << 16) as { _type?: unknown; state?: unknown };
    if (_type !== settingsType || !Number.isSafeInteger(state)) throw new Error('another kind');
    return state as number;
  } catch (cause) {
    throw signerError('WORKSPACE_DAMAGED', `${file} is damaged, of another kind or of a newer program`, { cause });
  }
}
