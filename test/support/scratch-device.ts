/** A device in a scratch folder, with a clock that the test sets. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyIdOf, type PublicKey } from '@countersign/protocol';
import { createDevice, type Device, type LogEvent } from '../../packages/client/src/device/device.ts';
import { writeSettings, type Settings } from '../../packages/client/src/device/settings.ts';

export interface ScratchDevice extends Device {
  /** Sets the system clock. */
  setTime(text: string): void;
  readonly events: LogEvent[];
}

/** A device with its own key, id and model, and nothing installed. */
export function scratchDevice(time = '2026-11-23T12:00:00Z', settings: Partial<Settings> = {}): ScratchDevice {
  let now = new Date(time);
  const events: LogEvent[] = [];
  const device = createDevice(join(mkdtempSync(join(tmpdir(), 'countersign-device-')), 'device'), {
    clock: () => now,
    log: (event) => void events.push(event),
  });
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: publicKey.export({ type: 'spki', format: 'pem' }) },
  };
  writeSettings(device.database, {
    model: 'Navios',
    platform: 'linux-x64',
    channel: 'stable',
    region: 'global',
    device: keyIdOf(key),
    deviceKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    rolloutSeed: '07'.repeat(32),
    timeFloor: '2026-01-01T00:00:00Z',
    ...settings,
  });
  return { ...device, setTime: (text) => void (now = new Date(text)), events };
}
