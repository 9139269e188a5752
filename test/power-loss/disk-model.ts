/**
 * A model of a disk that loses unsynced writes: replays recorded calls and gives what is left after a power cut. A file's content
 * stays from its fsync on; a folder's entries (made, renamed, removed) from an fsync of that folder on; a rename becomes durable
 * on both sides at once. A committed SQLite transaction stays: `synchronous=FULL` is its own sync.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';

export type Call =
  | {
      readonly op: 'open';
      readonly path: string;
      readonly fd: number;
      readonly create: boolean;
      readonly permissions: number;
      readonly truncate: boolean;
      readonly append: boolean;
    }
  | { readonly op: 'close'; readonly fd: number }
  | { readonly op: 'write'; readonly fd: number; readonly position: number | null; readonly bytes: Uint8Array }
  | { readonly op: 'whole'; readonly path: string; readonly bytes: Uint8Array }
  | { readonly op: 'truncate'; readonly path?: string; readonly fd?: number; readonly length: number }
  | { readonly op: 'fsync'; readonly fd: number; readonly path: string; readonly site: readonly string[] }
  | { readonly op: 'rename'; readonly from: string; readonly to: string }
  | { readonly op: 'link'; readonly from: string; readonly to: string }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'mkdir'; readonly paths: readonly string[] }
  | { readonly op: 'chmod'; readonly path: string; readonly permissions: number }
  | { readonly op: 'sql'; readonly path: string; readonly sql: string; readonly parameters: readonly SQLInputValue[] }
  | { readonly op: 'mark'; readonly name: string };

/** A file or folder, independent of its name. */
class Inode {
  readonly folder: boolean;
  mode: number;
  content: Buffer;
  synced: Buffer;
  /** Entries as the running system sees them, and as the disk has them. */
  readonly entries = new Map<string, Inode>();
  readonly durable = new Map<string, Inode>();
  constructor(folder: boolean, mode: number, content: Buffer = Buffer.alloc(0)) {
    this.folder = folder;
    this.mode = mode;
    this.content = content;
    this.synced = Buffer.alloc(0);
  }
}

/** Changes of entries that no fsync has made durable yet, in order. */
interface Pending {
  readonly folders: readonly Inode[];
  apply(): void;
}

/**
 * What is lost: everything that was not synced; or only the content of files, if the system happened to write names early; or the
 * contents and the removals of names, so that new names stand beside old ones.
 */
export type Loss = 'everything' | 'contents' | 'removals';

export class ForgetfulDisk {
  readonly #root: string;
  readonly #tree: Inode;
  readonly #databaseFile: string;
  readonly #database: DatabaseSync;
  #transaction: (() => void)[] | null = null;
  #pending: Pending[] = [];
  readonly #open = new Map<number, { inode: Inode; position: number; append: boolean }>();
  /** Increases whenever the result of a power cut may have changed. */
  version = 0;

  /** Starts from a device folder that is completely durable. `scratch`: a file for the copy of its database. */
  constructor(root: string, scratch: string) {
    this.#root = root;
    this.#tree = load(root);
    this.#databaseFile = scratch;
    copyDatabase(join(root, 'device.db'), scratch);
    this.#database = new DatabaseSync(scratch, { enableForeignKeyConstraints: true });
  }

  close(): void {
    this.#database.close();
  }

  apply(call: Call): void {
    switch (call.op) {
      case 'open':
        return this.#opened(call);
      case 'close':
        return void this.#open.delete(call.fd);
      case 'write':
        return this.#write(call);
      case 'whole':
        return this.#whole(call.path, Buffer.from(call.bytes));
      case 'truncate': {
        const inode = call.path === undefined ? this.#open.get(call.fd!)!.inode : this.#find(call.path)!;
        const shorter = Buffer.alloc(call.length);
        inode.content.copy(shorter);
        inode.content = shorter;
        return;
      }
      case 'fsync':
        return this.#sync(this.#open.get(call.fd)?.inode ?? this.#find(call.path));
      case 'rename':
        return this.#rename(call.from, call.to);
      case 'link':
        return this.#change(call.to, this.#find(call.from)!);
      case 'remove':
        return this.#change(call.path, undefined);
      case 'mkdir':
        for (const path of call.paths) this.#change(path, new Inode(true, 0o755));
        return;
      case 'chmod': {
        const inode = this.#find(call.path);
        if (inode) inode.mode = call.permissions;
        return;
      }
      case 'sql':
        return this.#sql(call.sql, call.parameters);
      case 'mark':
        return;
    }
  }

  /** Whether an fsync is one of a folder. */
  isFolder({ fd, path }: Extract<Call, { op: 'fsync' }>): boolean {
    return (this.#open.get(fd)?.inode ?? this.#find(path))?.folder === true;
  }

  /** The files that a power cut at this moment leaves, by their path from the root; the database is not among them. */
  filesLeft(loss: Loss): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    const add = (inode: Inode, path: string): void => {
      if (!inode.folder) return void files.set(path, inode.synced);
      for (const [name, child] of entriesLeft(inode, loss)) add(child, join(path, name));
    };
    add(this.#tree, '');
    return files;
  }

  /** Writes what a power cut at this moment leaves into a fresh folder. */
  writeTo(directory: string, loss: Loss): void {
    const write = (inode: Inode, path: string): void => {
      if (!inode.folder) return writeFileSync(path, inode.synced, { mode: inode.mode });
      mkdirSync(path, { mode: inode.mode | 0o700 });
      for (const [name, child] of entriesLeft(inode, loss)) write(child, join(path, name));
    };
    write(this.#tree, directory);
    copyFileSync(this.#databaseFile, join(directory, 'device.db'));
  }

  #names(path: string): string[] {
    const inner = relative(this.#root, path);
    return inner === '' ? [] : inner.split(sep);
  }
  #find(path: string): Inode | undefined {
    let at: Inode | undefined = this.#tree;
    for (const name of this.#names(path)) at = at?.entries.get(name);
    return at;
  }

  #opened({ path, fd, create, permissions, truncate, append }: Extract<Call, { op: 'open' }>): void {
    if (create) this.#change(path, new Inode(false, permissions));
    const inode = this.#find(path)!;
    if (truncate) inode.content = Buffer.alloc(0);
    this.#open.set(fd, { inode, position: 0, append });
  }

  #write({ fd, position, bytes }: Extract<Call, { op: 'write' }>): void {
    const file = this.#open.get(fd)!;
    const at = position ?? (file.append ? file.inode.content.length : file.position);
    const grown = Buffer.alloc(Math.max(file.inode.content.length, at + bytes.length));
    file.inode.content.copy(grown);
    grown.set(bytes, at);
    file.inode.content = grown;
    if (position === null) file.position = at + bytes.length;
  }

  #whole(path: string, bytes: Buffer): void {
    if (!this.#find(path)) this.#change(path, new Inode(false, 0o644));
    this.#find(path)!.content = bytes;
  }

  #sync(inode: Inode | undefined): void {
    if (!inode) return;
    this.version++;
    if (!inode.folder) {
      inode.synced = inode.content;
      return;
    }
    const mine = this.#pending.filter(({ folders }) => folders.includes(inode));
    this.#pending = this.#pending.filter((pending) => !mine.includes(pending));
    for (const pending of mine) pending.apply();
  }

  /** Makes, replaces or (undefined) removes one entry. */
  #change(path: string, inode: Inode | undefined): void {
    const folder = this.#find(dirname(path))!;
    const name = basename(path);
    if (inode) folder.entries.set(name, inode);
    else folder.entries.delete(name);
    this.version++;
    this.#pending.push({
      folders: [folder],
      apply: () => void (inode ? folder.durable.set(name, inode) : folder.durable.delete(name)),
    });
  }

  #rename(from: string, to: string): void {
    const [source, target] = [this.#find(dirname(from))!, this.#find(dirname(to))!];
    const [before, after] = [basename(from), basename(to)];
    const inode = this.#find(from)!;
    source.entries.delete(before);
    target.entries.set(after, inode);
    this.version++;
    this.#pending.push({
      folders: [source, target],
      apply: () => {
        source.durable.delete(before);
        target.durable.set(after, inode);
      },
    });
  }

  #sql(sql: string, parameters: readonly SQLInputValue[]): void {
    const act = (): void => {
      try {
        if (parameters.length === 0) this.#database.exec(sql);
        else this.#database.prepare(sql).all(...parameters.map(blob));
      } catch {
        // It also failed for the program.
      }
    };
    if (/^\s*BEGIN/i.test(sql)) this.#transaction = [];
    else if (/^\s*ROLLBACK/i.test(sql)) this.#transaction = null;
    else if (/^\s*(COMMIT|END)/i.test(sql)) {
      const acts = this.#transaction ?? [];
      this.#transaction = null;
      this.version++;
      this.#database.exec('BEGIN');
      for (const one of acts) one();
      this.#database.exec('COMMIT');
    } else if (this.#transaction) this.#transaction.push(act);
    else {
      this.version++;
      act();
    }
  }
}

function entriesLeft(folder: Inode, loss: Loss): Map<string, Inode> {
  const late = loss === 'contents' ? [] : folder.durable;
  const early = loss === 'everything' ? [] : folder.entries;
  return new Map([...late, ...early]);
}

/** Values come back from a file as plain arrays of bytes. */
const blob = (value: SQLInputValue): SQLInputValue => (value instanceof Uint8Array ? Buffer.from(value) : value);

function load(path: string): Inode {
  const { mode } = statSync(path);
  if (!statSync(path).isDirectory()) {
    const file = new Inode(false, mode & 0o777, readFileSync(path));
    file.synced = file.content;
    return file;
  }
  const folder = new Inode(true, mode & 0o777);
  for (const name of readdirSync(path)) {
    if (/^(device|lock)\.db/.test(name)) continue;
    const inode = load(join(path, name));
    folder.entries.set(name, inode);
    folder.durable.set(name, inode);
  }
  return folder;
}

/** One file without a write-ahead log, so that it can be copied while it is open. */
function copyDatabase(from: string, to: string): void {
  const source = new DatabaseSync(from);
  source.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  source.close();
  copyFileSync(from, to);
  const copy = new DatabaseSync(to);
  copy.exec('PRAGMA journal_mode = DELETE');
  copy.close();
}
