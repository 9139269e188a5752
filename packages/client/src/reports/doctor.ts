/**
 * Finds what is wrong with a device, and how to repair each finding. Changes nothing and needs no lock, so it works while the
 * service runs. A part that cannot be checked is itself a finding.
 */
import { httpSource } from '@countersign/protocol/node';
import { type Check, type Findings } from '@countersign/protocol/terminal';
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

const littleSpace = 1 << 30;
const dayMilliseconds = 24 * 3600_000;

/** In the order in which findings should be repaired. */
export const deviceChecks = (device: Device): Check[] => [
  () => readShippedPackage(device),
  () => verifyAudit(device),
  async ({ add }) => {
    const free = await freeBytes(device.directory);
    if (free < littleSpace)
      add('DISK_LOW', `only ${Math.round(free / 2 ** 20)} MiB are free`, 'free space on this disk: updates need it');
  },
  ({ add }) => {
    if (openJob(device))
      add(
        'INSTALL_UNFINISHED',
        'a change was interrupted and is not finished',
        'start the service; it finishes or undoes the change first',
      );
  },
  async ({ attempt }) => {
    for (const { archives } of currentGeneration(device)?.components ?? [])
      for (const { sha256 } of archives) await attempt(() => verifyArchive(device, sha256));
  },
  ({ add }) => {
    if (!listAccounts(device).some(({ roles }) => roles.includes('technician')))
      add(
        'ACCOUNT_MISSING',
        'nobody has an account that may approve',
        'countersign-device account add NAME --printed-name "First Last"',
      );
  },
  ({ add }) => lookAtPolls(device, add),
  async ({ attempt }) => {
    for (const server of configuredServers(device)) await attempt(() => lookAtServer(device, server));
  },
  ({ add, has }) => {
    for (const { code, message, severity } of openAlerts(device))
      if (severity !== 'info' && !has(code))
        add(code, message, 'see docs/errors.md for this code; the alert ends by itself once its cause is gone');
  },
];

function lookAtPolls(device: Device, add: Findings['add']): void {
  const last = readSetting(device.database, 'lastPoll');
  const mend = 'start the service: countersign-device run';
  if (last === undefined) add('POLL_NEVER', 'this device never asked its server', mend);
  else if (device.clock().getTime() - Date.parse(last.at) > dayMilliseconds)
    add('POLL_OLD', `the last poll was at ${last.at}`, mend);
}

/** One small request by the device's own rules: host list, TLS, proxy. The answer is not judged here. */
async function lookAtServer(device: Device, { metadataUrl }: Server): Promise<void> {
  const connection = openConnection(device, allowedHosts(device, lastAuthority(device, 'devices').regions));
  try {
    await httpSource({ ...connection.limits, metadataUrl, dispatcher: connection.dispatcher }).fetch(
      'timestamp.json',
      16_384,
    );
  } finally {
    await connection.close();
  }
}
