/**
 * What is wrong with a device, each finding with how to mend it. Changes nothing and needs no lock: it works beside the running
 * service. A part that cannot be looked at is a finding itself.
 */
import { codeOf } from '@countersign/protocol';
import { describeError, httpSource } from '@countersign/protocol/node';
import { listAccounts } from '../consent/accounts.ts';
import { openAlerts } from '../device/alerts.ts';
import { verifyAudit } from '../device/audit.ts';
import type { Device } from '../device/device.ts';
import { readSetting } from '../device/settings.ts';
import { currentGeneration } from '../generations/generations.ts';
import { openJob } from '../generations/journal.ts';
import { verifyArchive } from '../generations/store.ts';
import { freeBytes } from '../platform/disk.ts';
import { lastAuthority } from '../trust/authorities.ts';
import { allowedHosts, configuredServers, openConnection, type Server } from '../trust/servers.ts';
import { readShippedPackage } from '../trust/trust-on-device.ts';

export interface Diagnosis {
  readonly code: string;
  readonly what: string;
  readonly mend: string;
}

const littleSpace = 1 << 30;
const dayMilliseconds = 24 * 3600_000;

/** Looks at everything; findings in the order in which they should be mended. */
export async function diagnose(device: Device): Promise<Diagnosis[]> {
  const findings: Diagnosis[] = [];
  const found = (code: string, what: string, mend: string): void => void findings.push({ code, what, mend });
  const attempt = async (work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const { code, message, hint } = describeError(error);
      found(code, message, hint);
    }
  };
  await attempt(() => readShippedPackage(device));
  await attempt(() => verifyAudit(device));
  const free = await freeBytes(device.directory);
  if (free < littleSpace)
    found('DISK_LOW', `only ${Math.round(free / 2 ** 20)} MiB are free`, 'free space on this disk: updates need it');
  if (openJob(device))
    found(
      'INSTALL_UNFINISHED',
      'a change was interrupted and is not finished',
      'start the service; it finishes or undoes the change first',
    );
  for (const { archives } of currentGeneration(device)?.components ?? [])
    for (const { sha256 } of archives) await attempt(() => verifyArchive(device, sha256));
  if (!listAccounts(device).some(({ roles }) => roles.includes('technician')))
    found(
      'ACCOUNT_MISSING',
      'nobody has an account that may approve',
      'countersign-device account add NAME --printed-name "First Last"',
    );
  lookAtPolls(device, found);
  for (const server of configuredServers(device)) await attempt(() => lookAtServer(device, server));
  for (const { code, message, severity } of openAlerts(device))
    if (severity !== 'info' && !findings.some((finding) => finding.code === code))
      found(code, message, 'see docs/errors.md for this code; the alert ends by itself once its cause is gone');
  return findings;
}

function lookAtPolls(device: Device, found: (code: string, what: string, mend: string) => void): void {
  const last = readSetting(device.database, 'lastPoll');
  const mend = 'start the service: countersign-device run';
  if (last === undefined) found('POLL_NEVER', 'this device never asked its server', mend);
  else if (device.clock().getTime() - Date.parse(last.at) > dayMilliseconds)
    found('POLL_OLD', `the last poll was at ${last.at}`, mend);
}

/** One small request by the device's own rules: host list, TLS, proxy. What it answers is not judged here. */
async function lookAtServer(device: Device, { metadataUrl }: Server): Promise<void> {
  const connection = openConnection(device, allowedHosts(device, lastAuthority(device, 'devices').regions));
  try {
    await httpSource({ ...connection.limits, metadataUrl, dispatcher: connection.dispatcher }).fetch(
      'timestamp.json',
      16_384,
    );
  } catch (error) {
    if (codeOf(error) !== undefined) throw error;
  } finally {
    await connection.close();
  }
}
