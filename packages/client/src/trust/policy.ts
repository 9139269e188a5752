/**
 * Who denies a capability on this device: the vendor by the newest accepted devices policy, or the laboratory's own IT, which
 * may only deny. Fail closed: a device without a policy, or without a model, has everything denied.
 */
import { Buffer } from 'node:buffer';
import {
  codeOf,
  devicesFormat,
  envelopeFormat,
  statementFormat,
  vendorDenial,
  type Capability,
  type Denial,
  type DevicesAuthority,
} from '@countersign/protocol';
import { readSetting } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { readShippedPackage } from './trust-on-device.ts';

/** The laboratory's own denials: the setting `sitePolicy`. `*` stands for every component or capability. */
export interface SitePolicy {
  readonly denied: readonly { readonly component: string; readonly capability: string; readonly reason?: string }[];
}

/**
 * The newest accepted devices policy, else the one that shipped; undefined: there is none. Its signatures were judged when it
 * was accepted: what is open must be known without a network and without the shipped files.
 */
export function devicesPolicy(device: Device): DevicesAuthority | undefined {
  const row = device.database
    .prepare("SELECT envelope FROM authority_line WHERE kind = 'devices' ORDER BY version DESC LIMIT 1")
    .get() as { envelope: Uint8Array } | undefined;
  const line = row?.envelope ?? shippedLine(device);
  if (line === undefined) return undefined;
  const { payload } = envelopeFormat.parse(line, 'the devices policy');
  return devicesFormat.parse(Buffer.from(payload, 'base64'), 'the devices policy');
}

function shippedLine(device: Device): Uint8Array | undefined {
  try {
    const { devices } = readShippedPackage(device);
    const end = devices.indexOf('\n');
    return end === -1 ? devices : devices.subarray(0, end);
  } catch (error) {
    if (codeOf(error) === 'DEVICE_PACKAGE') return undefined;
    throw error;
  }
}

/** Vendor and site policy together, as they stand now. */
export function denials(device: Device): (component: string, capability: Capability) => Denial | undefined {
  const policy = devicesPolicy(device);
  const model = readSetting<string>(device.database, 'model');
  const site = readSetting<SitePolicy>(device.database, 'sitePolicy');
  const now = device.clock();
  return (component, capability) => {
    if (policy === undefined || model === undefined)
      return { by: 'vendor', reason: 'this device has no devices policy or no model' };
    const vendor = vendorDenial(policy, model, component, capability, now);
    if (vendor) return vendor;
    const found = site?.denied.find(
      (entry) => ['*', component].includes(entry.component) && ['*', capability.id].includes(entry.capability),
    );
    return found && { by: 'site', reason: found.reason ?? 'denied by the site policy' };
  };
}

/** The capabilities that the running release of a component declares and that are denied here. */
export function deniedCapabilities(device: Device, component: string): ReadonlySet<string> {
  const row = device.database
    .prepare(`SELECT statement FROM generation_component JOIN current USING (generation) WHERE component = ?`)
    .get(component) as { statement: Uint8Array } | undefined;
  if (row === undefined) return new Set();
  const denialOf = denials(device);
  const { capabilities } = statementFormat.parse(row.statement, `the statement of ${component}`).predicate.manifest;
  return new Set(capabilities.filter((capability) => denialOf(component, capability)).map(({ id }) => id));
}
