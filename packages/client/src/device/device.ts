/**
 * An opened device: its folder, its database, its clock and its log. Invariants: the folder is a real one that belongs to this
 * process's account or an administrator; `clock()` never runs behind the highest signed time that the device has seen; only
 * the holder of the lock writes. The lock is an exclusive SQLite transaction on `lock.db`: the system releases it when the
 * process dies, for any reason.
 *
 * Must never open or close `lock.db` by other means: on POSIX that would drop the lock.
 */
import { appendFileSync, chmodSync, renameSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, codeOf, escapeText } from '@countersign/protocol';
import { makeFolder, takeLock, type ExclusiveLock } from '@countersign/protocol/node';
import { checkFolder, protectFolder } from '../platform/folder-safety.ts';
import { createDatabase, databaseFailure, databaseFile, openDatabase } from './database.ts';
import { clientError } from './errors.ts';
import { readSetting } from './settings.ts';

export type Clock = () => Date;

/** One line of the device's log. Values are plain JSON; strings are escaped when written. Never a secret. */
export interface LogEvent {
  readonly level: 'info' | 'warn' | 'error';
  /** kebab-case, such as "hook-failed". */
  readonly event: string;
  readonly [field: string]: unknown;
}
export type Log = (event: LogEvent) => void;

export interface Device {
  readonly directory: string;
  readonly database: DatabaseSync;
  /** max(system clock, signed time floor). */
  readonly clock: Clock;
  /** The system clock unchanged: only to judge whether it is wrong. */
  readonly systemClock: Clock;
  readonly log: Log;
}

export interface DeviceOptions {
  /** Replaces the system clock, in tests. */
  readonly clock?: Clock;
  readonly log?: Log;
}

/** The folders of a device. Only `store` and `grants` are for components to read. */
export const deviceFolders = ['metadata', 'store', 'staging', 'grants', 'data', 'inbox', 'logs'] as const;
const publicFolders: readonly string[] = ['store', 'grants', 'data'];

export const storeFolder = (device: Pick<Device, 'directory'>): string => join(device.directory, 'store');
export const stagingFolder = (device: Pick<Device, 'directory'>): string => join(device.directory, 'staging');
export const grantsFolder = (device: Pick<Device, 'directory'>): string => join(device.directory, 'grants');

/**
 * Makes the folders and the database of a new device; the caller writes its settings.
 * @throws DEVICE_EXISTS DEVICE_FOLDER_UNSAFE
 */
export function createDevice(directory: string, options: DeviceOptions = {}): Device {
  const folder = resolve(directory);
  const fresh = makeFolder(folder, { mode: 0o755 });
  checkFolder(folder);
  if (fresh) protectFolder(folder);
  for (const name of deviceFolders)
    makeFolder(join(folder, name), { mode: publicFolders.includes(name) ? 0o755 : 0o700 });
  const database = createDatabase(folder);
  // The database holds the device's private key. SQLite gives its other files the permissions of the main one.
  for (const suffix of ['', '-wal', '-shm']) chmodIfPresent(databaseFile(folder) + suffix);
  return assemble(folder, database, options);
}

/**
 * Opens a device. Reading needs no lock.
 * @throws DEVICE_MISSING DEVICE_FOLDER_UNSAFE DEVICE_TOO_NEW RECOVERY_REQUIRED
 */
export function openDevice(directory: string, options: DeviceOptions = {}): Device {
  const folder = resolve(directory);
  checkFolder(folder);
  for (const name of deviceFolders) checkFolder(join(folder, name));
  const database = openDatabase(folder);
  try {
    checkDatabase(folder, database);
    for (const name of deviceFolders)
      makeFolder(join(folder, name), { mode: publicFolders.includes(name) ? 0o755 : 0o700 });
    return assemble(folder, database, options);
  } catch (error) {
    database.close();
    throw error;
  }
}

export const closeDevice = (device: Device): void => device.database.close();

function assemble(directory: string, database: DatabaseSync, options: DeviceOptions): Device {
  const system = options.clock ?? (() => new Date());
  const clock = (): Date => {
    const now = system();
    const floor = readSetting(database, 'timeFloor');
    return floor !== undefined && now.getTime() < Date.parse(floor) ? new Date(floor) : now;
  };
  return { directory, database, clock, systemClock: system, log: options.log ?? fileLog(directory, clock) };
}

/** Finds damaged pages at the start, not in the middle of a change. @throws RECOVERY_REQUIRED */
function checkDatabase(directory: string, database: DatabaseSync): void {
  let answer: string;
  try {
    const row = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    answer = row.quick_check;
  } catch (cause) {
    answer = messageOf(cause);
  }
  if (answer !== 'ok')
    throw clientError('RECOVERY_REQUIRED', `${databaseFile(directory)} is damaged: ${escapeText(answer, 200)}`);
}

const held = new WeakSet<Device>();

export interface LockOptions {
  /** How long to wait for another holder; 5000 by default. */
  readonly waitMilliseconds?: number;
}

/** Runs `work` as the device's only writer. @throws DEVICE_BUSY RECOVERY_REQUIRED DISK_FULL, or what `work` throws */
export async function withLock<T>(device: Device, work: () => Promise<T> | T, options: LockOptions = {}): Promise<T> {
  const lock = await acquire(device, performance.now() + (options.waitMilliseconds ?? 5000));
  held.add(device);
  try {
    return await work();
  } catch (error) {
    throw databaseFailure(databaseFile(device.directory), error);
  } finally {
    held.delete(device);
    lock.release();
  }
}

/** For functions that write: the caller must hold the lock. @throws DEVICE_NOT_LOCKED */
export function requireLock(device: Device): void {
  if (!held.has(device)) throw clientError('DEVICE_NOT_LOCKED', `writing to ${device.directory} without its lock`);
}

async function acquire(device: Device, end: number): Promise<ExclusiveLock> {
  const file = join(device.directory, 'lock.db');
  for (;;) {
    const lock = tryLock(file);
    if (lock !== null) return lock;
    if (performance.now() >= end) throw clientError('DEVICE_BUSY', `${file} is held by another process`);
    await pause(25);
  }
}

function tryLock(file: string): ExclusiveLock | null {
  try {
    return takeLock(file);
  } catch (cause) {
    throw clientError('RECOVERY_REQUIRED', `${file} cannot be locked: ${String(cause)}`, {
      cause,
      hint: 'stop the service, remove lock.db and start it again',
    });
  }
}

const logLimit = 4 << 20;

/** JSON lines in `logs/device.log`; at 4 MB it becomes `device.log.1`. A log that cannot be written does not stop anything. */
function fileLog(directory: string, clock: Clock): Log {
  const file = join(directory, 'logs', 'device.log');
  return (event) => {
    try {
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > logLimit) renameSync(file, `${file}.1`);
      const line = JSON.stringify({ at: clock().toISOString(), ...event }, (_key, value: unknown) =>
        typeof value === 'string' ? escapeText(value, 8000) : value,
      );
      appendFileSync(file, `${line}\n`, { mode: 0o600 });
    } catch {
      // A full disk must not turn a log line into a failed rollback.
    }
  };
}

function chmodIfPresent(file: string): void {
  try {
    chmodSync(file, 0o600);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
