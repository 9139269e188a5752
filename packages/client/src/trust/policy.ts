/**
 * Decides who denies a capability on this device: the vendor by the newest accepted devices policy, or the laboratory's own IT,
 * which may only deny. Fail closed: on a device without a policy, or without a model, everything is denied.
 */
import {
  payloadOf,
  codeOf,
  devicesFormat,
  envelopeFormat,
  vendorDenial,
  type Capability,
  type Denial,
  type DevicesAuthority,
} from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { readSetting } from '../device/settings.ts';
import { newestLine } from './authorities.ts';
import { readShippedPackage } from './trust-on-device.ts';

/**
 * The newest accepted devices policy, else the shipped one; undefined: there is none. Its signatures were judged when it was
 * accepted, since what is open must be known without a network and without the shipped files.
 */
function devicesPolicy(device: Device): DevicesAuthority | undefined {
  const line = newestLine(device, 'devices')?.envelope ?? shippedLine(device);
  if (line === undefined) return undefined;
  const envelope = envelopeFormat.parse(line, 'the devices policy');
  return devicesFormat.parse(payloadOf(envelope), 'the devices policy');
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
  const model = readSetting(device.database, 'model');
  const site = readSetting(device.database, 'sitePolicy');
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
