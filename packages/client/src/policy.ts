/**
 * Who denies a capability on this device: the vendor by the newest accepted devices policy, or the laboratory's own IT, which
 * may only deny. Fail closed: a device without a policy, or without a model, has everything denied.
 */
import { Buffer } from 'node:buffer';
import {
  devicesFormat,
  envelopeFormat,
  vendorDenial,
  type Capability,
  type Denial,
  type DevicesAuthority,
} from '@countersign/protocol';
import { readSetting } from './database.ts';
import type { Device } from './device.ts';

/** The laboratory's own denials: the setting `sitePolicy`. `*` stands for every component or capability. */
export interface SitePolicy {
  readonly denied: readonly { readonly component: string; readonly capability: string; readonly reason?: string }[];
}

/** The newest accepted devices policy; its signatures were checked when it was accepted. Undefined: none ever was. */
export function devicesPolicy(device: Device): DevicesAuthority | undefined {
  const row = device.database
    .prepare("SELECT envelope FROM authority_line WHERE kind = 'devices' ORDER BY version DESC LIMIT 1")
    .get() as { envelope: Uint8Array } | undefined;
  if (row === undefined) return undefined;
  const { payload } = envelopeFormat.parse(row.envelope, 'the accepted devices policy');
  return devicesFormat.parse(Buffer.from(payload, 'base64'), 'the accepted devices policy');
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

/** Those of the capabilities that are denied here. */
export function deniedAmong(device: Device, component: string, declared: readonly Capability[]): ReadonlySet<string> {
  const denialOf = denials(device);
  return new Set(declared.filter((capability) => denialOf(component, capability)).map(({ id }) => id));
}
