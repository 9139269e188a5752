/**
 * A signer's workspace: `trusted/` is what is published, `change/` what is pending, `artifacts/` packed releases, `keys/` key
 * files, `package/` what ships with a device. Invariants: every file is written as a whole; `trusted/` changes only by what a server
 * published; a document counts only as the role's metadata lists it. Two commands never work at the same time.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import {
  codeOf,
  openMetadata,
  readRoot,
  readTargets,
  serialize,
  sha256,
  type Root,
  type Target,
  type Targets,
} from '@countersign/protocol';
import { makeFolder, readIfPresent, takeLock, writeDurable } from '@countersign/protocol/node';
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

  constructor(directory: string) {
    this.directory = resolve(directory);
  }

  file(...names: readonly string[]): string {
    return join(this.directory, ...names);
  }

  /** The role as it is published; null before that. */
  trustedRole(role: string): RoleFile | null {
    return this.#readRole(this.file('trusted', 'metadata', `${role}.json`), role);
  }

  /** The role's next version, as far as it is signed; null where the change does not touch it. */
  pendingRole(role: string): RoleFile | null {
    return this.#readRole(this.file('change', 'metadata', `${role}.json`), role);
  }

  /** As it would be after publishing. @throws ROLE_UNKNOWN */
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
    return namesIn(this.file('change', 'metadata')).map((name) => name.slice(0, -'.json'.length));
  }

  trustedRoles(): string[] {
    return namesIn(this.file('trusted', 'metadata'))
      .map((name) => name.slice(0, -'.json'.length))
      .filter((name) => !/^\d+\./.test(name));
  }

  writePending(role: string, file: RoleFile): void {
    const target = this.file('change', 'metadata', `${role}.json`);
    makeFolder(dirname(target));
    writeDurable(target, serialize(file.signed, file.signatures));
  }

  dropPending(role: string): void {
    rmSync(this.file('change', 'metadata', `${role}.json`), { force: true });
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
    for (const place of [
      this.changedDocument(path, target.hashes.sha256!),
      this.file('trusted', 'targets', ...path.split('/')),
    ]) {
      const bytes = readIfPresent(place, maximumDocument);
      if (bytes?.length === target.length && sha256(bytes) === target.hashes.sha256) return bytes;
    }
    throw signerError('WORKSPACE_DAMAGED', `${path} in ${this.directory} is not the file that its role lists`);
  }

  /** Where a document of the change lies: by its digest, so that a later one never takes its place half-way. */
  changedDocument(path: string, digest: string): string {
    const cut = path.lastIndexOf('/') + 1;
    return this.file('change', 'targets', ...path.slice(0, cut).split('/'), `${digest}.${path.slice(cut)}`);
  }

  /** Keeps a document of the change; the role's entry for it. */
  keepDocument(path: string, bytes: Uint8Array): Target {
    const digest = sha256(bytes);
    const file = this.changedDocument(path, digest);
    makeFolder(dirname(file));
    writeDurable(file, bytes);
    return { length: bytes.length, hashes: { sha256: digest } };
  }

  /** Takes over what is published now: exactly these roles and documents. */
  replaceTrusted(roles: ReadonlyMap<string, Uint8Array>, documents: ReadonlyMap<string, Uint8Array>): void {
    for (const [path, bytes] of documents) {
      const file = this.file('trusted', 'targets', ...path.split('/'));
      makeFolder(dirname(file));
      writeDurable(file, bytes);
    }
    makeFolder(this.file('trusted', 'metadata'));
    for (const [role, bytes] of roles) {
      writeDurable(this.file('trusted', 'metadata', `${role}.json`), bytes);
      if (role === 'root') {
        const version = readRoot(openMetadata(bytes, role).signed()).version;
        writeDurable(this.file('trusted', 'metadata', `${version}.root.json`), bytes);
      }
    }
  }

  /** The exact bytes of a published role; null where it is not. */
  trustedBytes(role: string): Buffer | null {
    return readIfPresent(this.file('trusted', 'metadata', `${role}.json`), maximumMetadata) ?? null;
  }

  discardChange(): void {
    rmSync(this.file('change'), { recursive: true, force: true });
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

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort();
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return [];
    throw cause;
  }
}

/** @throws WORKSPACE_EXISTS */
export function createWorkspace(directory: string): Workspace {
  const workspace = new Workspace(directory);
  const file = workspace.file('countersign.json');
  if (readIfPresent(file, 1 << 16)) throw signerError('WORKSPACE_EXISTS', `${workspace.directory} holds a workspace`);
  mkdirSync(workspace.directory, { recursive: true });
  return workspace;
}

/** Written last by init: from then on it is a workspace. */
export const writeSettings = (workspace: Workspace): void =>
  writeDurable(workspace.file('countersign.json'), `${JSON.stringify({ _type: settingsType }, null, 2)}\n`);

/** @throws WORKSPACE_MISSING WORKSPACE_DAMAGED */
export function openWorkspace(directory: string): Workspace {
  const workspace = new Workspace(directory);
  const file = workspace.file('countersign.json');
  const bytes = readIfPresent(file, 1 << 16);
  if (!bytes) throw signerError('WORKSPACE_MISSING', `${workspace.directory} holds no workspace`);
  if (!bytes.includes(settingsType))
    throw signerError('WORKSPACE_DAMAGED', `${file} is of another kind or of a newer program`);
  return workspace;
}

/** Runs `work` as the only command in the workspace. @throws WORKSPACE_BUSY, and what `work` throws */
export async function withWorkspaceLock<T>(workspace: Workspace, work: () => Promise<T> | T): Promise<T> {
  const lock = takeLock(workspace.file('lock.db'), 2000);
  if (!lock) throw signerError('WORKSPACE_BUSY', `another command works in ${workspace.directory}`);
  try {
    return await work();
  } finally {
    lock.release();
  }
}
