/**
 * Loaded with `--import` into a program under test. After `globalThis.faults.arm()` was called, it numbers every call that
 * changes files or a SQLite database below FAULT_ROOT, in all threads.
 *
 *   FAULT_MODE=count    numbers them only; `faults.count()` tells how many there were
 *   FAULT_MODE=kill     the process kills itself by SIGKILL right before call number FAULT_KILL_AT
 *   … or right before the first SQL call that has the parameter FAULT_KILL_WITH
 *   FAULT_MODE=record   keeps what each call did, for replaying with unsynced writes lost; `faults.take()` returns it
 *
 * Must be loaded before the program's own modules. Only for tests.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';
import process from 'node:process';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

const mode = process.env.FAULT_MODE ?? 'count';
const killAt = Number(process.env.FAULT_KILL_AT ?? 0);
const killWith = process.env.FAULT_KILL_WITH;
const root = resolve(process.env.FAULT_ROOT ?? process.cwd());

// One counter for all threads: [armed, calls].
let shared = getEnvironmentData('faults');
if (shared === undefined) {
  shared = new SharedArrayBuffer(8);
  setEnvironmentData('faults', shared);
}
const counter = new Int32Array(shared);
if (mode === 'record') Error.stackTraceLimit = 30;

const records = [];
const original = { fstatSync: fs.fstatSync, readFileSync: fs.readFileSync, existsSync: fs.existsSync };
/** Open descriptors below the root, by number: their path when they were opened. */
const descriptors = new Map();
let inside = 0;

globalThis.faults = {
  arm: () => Atomics.store(counter, 0, 1),
  disarm: () => Atomics.store(counter, 0, 0),
  count: () => Atomics.load(counter, 1),
  /** A mark that the test wants to find in the record. */
  mark: (name) => record({ op: 'mark', name }),
  take: () => records.splice(0),
};

const armed = () => Atomics.load(counter, 0) === 1 && inside === 0;
const record = (entry) => {
  if (mode === 'record' && Atomics.load(counter, 0) === 1) records.push(entry);
};

/** A changing call is about to happen. */
function pass(parameters = []) {
  const number = Atomics.add(counter, 1, 1) + 1;
  if (mode === 'kill' && (number === killAt || (killWith !== undefined && parameters.includes(killWith)))) {
    process.kill(process.pid, 'SIGKILL');
    // The signal is on its way; nothing more happens in this thread.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
}

const pathOf = (value) => {
  if (typeof value === 'string') return resolve(value);
  if (value instanceof URL) return resolve(fileURLToPath(value));
  if (value instanceof Uint8Array) return resolve(Buffer.from(value).toString());
  if (typeof value === 'number') return descriptors.get(value);
  if (typeof value?.fd === 'number') return descriptors.get(value.fd);
  return undefined;
};
const below = (path) => path !== undefined && (path === root || path.startsWith(root + sep));
const bytesOf = (value, encoding) =>
  typeof value === 'string'
    ? Buffer.from(value, typeof encoding === 'string' ? encoding : 'utf8')
    : Buffer.from(value.buffer ?? value, value.byteOffset ?? 0, value.byteLength);

const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = fs.constants;
const letters = {
  r: 0,
  'r+': O_RDWR,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  'w+': O_RDWR | O_CREAT | O_TRUNC,
  a: O_WRONLY | O_CREAT | O_APPEND,
  'a+': O_RDWR | O_CREAT | O_APPEND,
};
const flagsOf = (flags = 'r') => (typeof flags === 'number' ? flags : (letters[flags.replace(/[xs]/g, '')] ?? 0));

/** Product functions that led to this call, nearest first: `file.ts function`. */
function siteOf() {
  const frames = [];
  for (const line of (new Error().stack ?? '').split('\n').slice(1)) {
    const match = /at (?:async )?(?:new )?([^ ]+) \(?file:\/\/.*\/packages\/([^/]+)\/.*?([^/]+\.ts):\d+:\d+/.exec(line);
    if (match) frames.push(`${match[3]} ${match[1].replace(/^.*[.#]/, '')}`);
  }
  return frames;
}

/**
 * What each function changes: `paths` finds the paths it touches in its arguments, `note` what the record keeps. A call that
 * touches nothing below the root, or changes nothing, is not counted.
 */
const writers = {
  open: {
    paths: ([path, flags]) => ((flagsOf(flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) === 0 ? [] : [path]),
    before: ([path]) => original.existsSync(path),
    note: ([path, flags, permissions], result, existed) => ({
      op: 'open',
      path: pathOf(path),
      fd: result?.fd ?? result,
      create: !existed,
      permissions: (typeof permissions === 'number' ? permissions : 0o666) & ~0o022,
      truncate: (flagsOf(flags) & O_TRUNC) !== 0,
      append: (flagsOf(flags) & O_APPEND) !== 0,
    }),
  },
  write: {
    paths: ([fd]) => [fd],
    note: ([fd, data, a, b, c], result) => {
      const length = result?.bytesWritten ?? result;
      if (typeof data === 'string')
        return {
          op: 'write',
          fd,
          position: typeof a === 'number' ? a : null,
          bytes: bytesOf(data, b).subarray(0, length),
        };
      const options = typeof a === 'object' && a !== null ? a : { offset: a, position: c };
      const offset = options.offset ?? 0;
      return {
        op: 'write',
        fd,
        position: typeof options.position === 'number' ? options.position : null,
        bytes: Buffer.from(bytesOf(data).subarray(offset, offset + length)),
      };
    },
  },
  writev: {
    paths: ([fd]) => [fd],
    note: ([fd, buffers, position]) => ({
      op: 'write',
      fd,
      position: typeof position === 'number' ? position : null,
      bytes: Buffer.concat(buffers.map((each) => bytesOf(each))),
    }),
  },
  writeFile: {
    paths: ([path]) => [path],
    note: ([path]) => ({ op: 'whole', path: pathOf(path), bytes: original.readFileSync(pathOf(path)) }),
  },
  appendFile: {
    paths: ([path]) => [path],
    note: ([path]) => ({ op: 'whole', path: pathOf(path), bytes: original.readFileSync(pathOf(path)) }),
  },
  copyFile: {
    paths: ([, to]) => [to],
    note: ([, to]) => ({ op: 'whole', path: pathOf(to), bytes: original.readFileSync(to) }),
  },
  truncate: {
    paths: ([path]) => [path],
    note: ([path, length = 0]) => ({ op: 'truncate', path: pathOf(path), length }),
  },
  ftruncate: { paths: ([fd]) => [fd], note: ([fd, length = 0]) => ({ op: 'truncate', fd, length }) },
  fsync: {
    paths: ([fd]) => [fd],
    site: true,
    note: ([fd], _result, site) => ({ op: 'fsync', fd, path: pathOf(fd), site }),
  },
  fdatasync: {
    paths: ([fd]) => [fd],
    site: true,
    note: ([fd], _result, site) => ({ op: 'fsync', fd, path: pathOf(fd), site }),
  },
  rename: {
    paths: ([from, to]) => [from, to],
    note: ([from, to]) => ({ op: 'rename', from: pathOf(from), to: pathOf(to) }),
  },
  unlink: { paths: ([path]) => [path], note: ([path]) => ({ op: 'remove', path: pathOf(path) }) },
  rmdir: { paths: ([path]) => [path], note: ([path]) => ({ op: 'remove', path: pathOf(path) }) },
  rm: { paths: ([path]) => [path], note: ([path]) => ({ op: 'remove', path: pathOf(path) }) },
  mkdir: {
    paths: ([path]) => [path],
    before: ([path, options]) => (options?.recursive ? missingParents(pathOf(path)) : [pathOf(path)]),
    note: (_args, _result, made) => ({ op: 'mkdir', paths: made }),
  },
  mkdtemp: { paths: ([prefix]) => [prefix], note: (_args, result) => ({ op: 'mkdir', paths: [pathOf(result)] }) },
  link: { paths: ([, to]) => [to], note: ([from, to]) => ({ op: 'link', from: pathOf(from), to: pathOf(to) }) },
  symlink: { paths: ([, to]) => [to], note: () => ({ op: 'unknown', name: 'symlink' }) },
  cp: { paths: ([, to]) => [to], note: () => ({ op: 'unknown', name: 'cp' }) },
  chmod: {
    paths: ([path]) => [path],
    note: ([path, permissions]) => ({ op: 'chmod', path: pathOf(path), permissions }),
  },
  fchmod: { paths: ([fd]) => [fd], note: ([fd, permissions]) => ({ op: 'chmod', path: pathOf(fd), permissions }) },
};

function missingParents(path) {
  const missing = [];
  for (let at = path; !original.existsSync(at); at = resolve(at, '..')) missing.unshift(at);
  return missing;
}

/** Starts a call: null when it is not to be counted, else what its note needs. */
function begin(writer, args) {
  if (!armed() || !writer.paths(args).some((path) => below(pathOf(path)))) return null;
  const state = writer.before?.(args) ?? (writer.site && mode === 'record' ? siteOf() : undefined);
  pass();
  return { state };
}
const finish = (writer, args, started, result) => {
  if (started !== null && mode === 'record') record(writer.note(args, result, started.state));
};
const opened = (name, args, result) => {
  if (name === 'open' && below(pathOf(args[0]))) descriptors.set(result?.fd ?? result, pathOf(args[0]));
};

const wrapSync = (name, call) =>
  function (...args) {
    const started = begin(writers[name], args);
    inside++;
    try {
      const result = call.apply(this, args);
      opened(name, args, result);
      finish(writers[name], args, started, result);
      return result;
    } finally {
      inside--;
    }
  };
const wrapCallback = (name, call) =>
  function (...args) {
    const done = args.at(-1);
    const own = args.slice(0, -1);
    const started = typeof done === 'function' ? begin(writers[name], own) : null;
    if (typeof done !== 'function') return call.apply(this, args);
    return call.call(this, ...own, (error, ...results) => {
      if (!error) {
        opened(name, own, results[0]);
        finish(writers[name], own, started, results[0]);
      }
      done(error, ...results);
    });
  };
const wrapPromise = (name, call) =>
  async function (...args) {
    const started = begin(writers[name], args);
    const result = await call.apply(this, args);
    opened(name, args, result);
    finish(writers[name], args, started, result);
    return result;
  };

for (const name of Object.keys(writers)) {
  if (fs[`${name}Sync`]) fs[`${name}Sync`] = wrapSync(name, fs[`${name}Sync`]);
  if (fs[name]) {
    // promisify() finds the promise form of some callback functions by a symbol.
    const promisified = Object.getOwnPropertyDescriptors(fs[name]);
    fs[name] = wrapCallback(name, fs[name]);
    for (const symbol of Object.getOwnPropertySymbols(promisified)) {
      const { value } = promisified[symbol];
      if (typeof value === 'function') Object.defineProperty(fs[name], symbol, { value: wrapPromise(name, value) });
    }
  }
  if (fs.promises[name]) fs.promises[name] = wrapPromise(name, fs.promises[name]);
}
const closeSync = fs.closeSync;
fs.closeSync = (fd) => {
  if (descriptors.delete(fd)) record({ op: 'close', fd });
  return closeSync(fd);
};
const close = fs.close;
fs.close = (fd, ...rest) => {
  if (descriptors.delete(fd)) record({ op: 'close', fd });
  return close(fd, ...rest);
};

const handle = await fs.promises.open(process.execPath);
const prototype = Object.getPrototypeOf(handle);
await handle.close();
/** FileHandle methods by the function on a descriptor that they stand for. */
const methods = {
  write: 'write',
  writev: 'writev',
  writeFile: 'writeFile',
  appendFile: 'appendFile',
  truncate: 'ftruncate',
  sync: 'fsync',
  datasync: 'fdatasync',
  chmod: 'fchmod',
};
for (const [method, name] of Object.entries(methods)) {
  const call = prototype[method];
  prototype[method] = async function (...args) {
    const withHandle = [this.fd, ...args];
    const started = begin(writers[name], withHandle);
    const result = await call.apply(this, args);
    finish(writers[name], withHandle, started, result);
    return result;
  };
}
const closeHandle = prototype.close;
prototype.close = function () {
  if (descriptors.delete(this.fd)) record({ op: 'close', fd: this.fd });
  return closeHandle.call(this);
};

const changes =
  /^\s*(INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|VACUUM|WITH)/i;
const statements = new WeakMap();
const exec = DatabaseSync.prototype.exec;
const databaseOf = (database) => database.location();
const note = (database, sql, parameters) => {
  const path = databaseOf(database);
  if (!armed() || !below(path ?? undefined) || !changes.test(sql)) return;
  pass(parameters);
  if (mode === 'record') records.push({ op: 'sql', path, sql, parameters });
};
DatabaseSync.prototype.exec = function (sql) {
  note(this, sql, []);
  return exec.call(this, sql);
};
const prepare = DatabaseSync.prototype.prepare;
DatabaseSync.prototype.prepare = function (sql, ...rest) {
  const statement = prepare.call(this, sql, ...rest);
  statements.set(statement, { database: this, sql });
  return statement;
};
for (const method of ['run', 'get', 'all', 'iterate']) {
  const call = StatementSync.prototype[method];
  StatementSync.prototype[method] = function (...parameters) {
    const { database, sql } = statements.get(this) ?? {};
    if (database)
      note(
        database,
        sql,
        parameters.map((each) => (each instanceof Uint8Array ? Buffer.from(each) : each)),
      );
    return call.apply(this, parameters);
  };
}

syncBuiltinESMExports();
