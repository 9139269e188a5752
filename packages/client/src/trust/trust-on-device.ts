/**
 * Keeps what a device trusts between runs. Whole metadata files stand in `metadata/`. Floors, every accepted root's digest and
 * the time floor stand in the database, which outlives that folder. If the folder is lost it is fetched again, but nothing older
 * than what was accepted before is accepted. All trust starts at the shipped package, whose digests were recorded at init.
 */
import { join } from 'node:path';
import {
  issuedTime,
  raiseTimeFloor,
  resetsTimeFloor,
  sha256,
  timeText,
  trustRoot,
  type Timestamp,
} from '@countersign/protocol';
import {
  directoryStore,
  readShippedFile,
  shippedFiles,
  type MetadataStore,
  type ShippedFile,
  type ShippedPackage,
  type TrustRecord,
} from '@countersign/protocol/node';
import { clearAlert, raiseAlert } from '../device/alerts.ts';
import { appendAudit } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import { dropSetting, readSetting, writeSetting } from '../device/settings.ts';

/** The shipped package, as it was copied at init. @throws DEVICE_PACKAGE */
export function readShippedPackage(device: Device): ShippedPackage {
  const recorded = readSetting(device.database, 'shipped');
  const read = (kind: ShippedFile): Buffer => {
    const file = join(device.directory, 'package', shippedFiles[kind]);
    const bytes = readShippedFile(file);
    if (bytes === undefined) throw clientError('DEVICE_PACKAGE', `${file} is missing`);
    if (sha256(bytes) !== recorded?.[kind])
      throw clientError('DEVICE_PACKAGE', `${file} is not the file that the device took over at init`);
    return bytes;
  };
  return { root: read('root'), codesign: read('codesign'), devices: read('devices') };
}

/** The device's metadata store. The caller holds the device lock when it writes. */
export function deviceStore(device: Device): MetadataStore {
  const { database } = device;
  const files = directoryStore(join(device.directory, 'metadata'));
  return {
    ...files,
    writeRoot: async (version, bytes) => {
      await resetTimeFloor(device, files, version, bytes);
      await files.writeRoot(version, bytes);
    },
    readRecord: () => {
      const floors = rows<{ role: string; version: number }>(database, 'SELECT role, version FROM metadata_floor');
      const roots = rows<{ version: number; sha256: string }>(database, 'SELECT version, sha256 FROM root_record');
      const [tag] = rows<{ sha256: string; etag: string }>(database, 'SELECT sha256, etag FROM metadata_tag');
      if (floors.length === 0 && roots.length === 0) return undefined;
      return {
        floors: new Map(floors.map(({ role, version }) => [role, version])),
        roots: new Map(roots.map(({ version, sha256: digest }) => [version, digest])),
        etag: tag && { value: tag.etag, timestamp: tag.sha256 },
      };
    },
    writeRecord: (record) => transact(database, () => writeRecord(device, record)),
  };
}

const rows = <T>(database: Device['database'], sql: string): T[] => database.prepare(sql).all() as T[];

/** Replaces the record: what it does not name any more was dropped by a rotation of keys (§5.3.11). */
function writeRecord({ database }: Device, { floors, roots, etag }: TrustRecord): void {
  database.exec('DELETE FROM metadata_floor; DELETE FROM root_record; DELETE FROM metadata_tag');
  const floor = database.prepare('INSERT INTO metadata_floor (role, version) VALUES (?, ?)');
  for (const [role, version] of floors) floor.run(role, version);
  const root = database.prepare('INSERT INTO root_record (version, sha256) VALUES (?, ?)');
  for (const [version, digest] of roots) root.run(version, digest);
  if (etag) database.prepare('INSERT INTO metadata_tag (sha256, etag) VALUES (?, ?)').run(etag.timestamp, etag.value);
}

/** If a new root removes a timestamp key, resets the time that this key may have pushed forward. */
async function resetTimeFloor(device: Device, files: MetadataStore, version: number, bytes: Uint8Array): Promise<void> {
  const known = device.database.prepare('SELECT 1 FROM root_record WHERE version = ?').get(version);
  const before = await files.readRoot(version - 1);
  if (known !== undefined || before === undefined) return;
  if (!resetsTimeFloor(trustRoot(before).root.signed, trustRoot(bytes).root.signed)) return;
  dropSetting(device.database, 'timeFloor');
  appendAudit(device, 'time-floor-reset', { root: version });
}

/** Keeps the highest signed time, and warns when the system clock cannot be right. */
export function noteSignedTime(device: Device, timestamp: Timestamp): void {
  const text = readSetting(device.database, 'timeFloor');
  const floor = text === undefined ? undefined : new Date(text);
  const system = device.systemClock();
  const raised = raiseTimeFloor(floor, issuedTime(timestamp), system);
  if (raised !== undefined && raised !== floor) writeSetting(device.database, 'timeFloor', timeText(raised));
  warnOfClockBehind(device);
}

const toleranceMilliseconds = 5 * 60_000;

/** Raises or clears CLOCK_BEHIND. A few minutes are tolerated: then the signed time is used and nobody is warned. */
export function warnOfClockBehind(device: Device): void {
  const floor = readSetting(device.database, 'timeFloor');
  const system = device.systemClock();
  if (floor !== undefined && Date.parse(floor) - system.getTime() > toleranceMilliseconds)
    raiseAlert(device, {
      code: 'CLOCK_BEHIND',
      severity: 'warning',
      message: `the clock of this PC says ${timeText(system)}, metadata proves that it is at least ${floor}`,
    });
  else clearAlert(device, 'CLOCK_BEHIND');
}
