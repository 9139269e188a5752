/**
 * `countersign-device init`: makes a device. It takes over the shipped package (root 1 and version 1 of both authority chains),
 * makes the device's own key and rollout seed, and asks nobody: trust comes from the package alone.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { shortDigest, keyIdOf, sha256, type PublicKey } from '@countersign/protocol';
import type { Command } from 'commander';
import {
  makeFolder,
  readShippedFile,
  shippedFiles,
  writeDurable,
  type ShippedFile,
  type ShippedPackage,
} from '@countersign/protocol/node';
import { terminalOf } from '@countersign/protocol/terminal';
import { transact } from '../device/database.ts';
import { closeDevice, createDevice, type Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import { writeSettings, type Settings } from '../device/settings.ts';

interface InitOptions {
  readonly dir: string;
  readonly server: readonly string[];
  readonly host?: readonly string[];
  readonly region: string;
  readonly model: string;
  readonly serial: string;
  readonly package: string;
  readonly channel: string;
}

export function init(_: unknown, command: Command): void {
  const options = command.optsWithGlobals<InitOptions>();
  const terminal = terminalOf(command);
  const device = initDevice(options);
  terminal.answer({ device, directory: resolve(options.dir) }, () => {
    terminal.print(`device ${shortDigest(device)} made in ${resolve(options.dir)}`);
    terminal.print('next: countersign-device account add NAME, then countersign-device run');
  });
}

/** Makes the folder and the database; returns the device id. @throws DEVICE_EXISTS DEVICE_PACKAGE */
function initDevice(options: InitOptions): string {
  const files = readPackage(options.package);
  const device = createDevice(resolve(options.dir));
  try {
    return takeOver(device, options, files);
  } finally {
    closeDevice(device);
  }
}

function takeOver(device: Device, options: InitOptions, files: ShippedPackage): string {
  const { directory, database } = device;
  makeFolder(join(directory, 'package'));
  for (const [kind, name] of Object.entries(shippedFiles))
    writeDurable(join(directory, 'package', name), files[kind as ShippedFile]);
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: pair.publicKey.export({ type: 'spki', format: 'pem' }) },
  };
  const hosts = options.host ?? options.server.map((url) => new URL(url).hostname);
  const settings: Partial<Settings> & Pick<Settings, 'device'> = {
    servers: options.server,
    hosts: [...new Set(hosts)],
    region: options.region,
    model: options.model,
    serial: options.serial,
    channel: options.channel,
    platform: process.platform === 'win32' ? 'win32-x64' : 'linux-x64',
    device: keyIdOf(key),
    deviceKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    rolloutSeed: randomBytes(32).toString('hex'),
    shipped: { root: sha256(files.root), codesign: sha256(files.codesign), devices: sha256(files.devices) },
  };
  transact(database, () => {
    writeSettings(database, settings);
  });
  return settings.device;
}

function readPackage(folder: string): ShippedPackage {
  const read = (name: string): Buffer => {
    const bytes = readShippedFile(join(folder, name));
    if (!bytes) throw clientError('DEVICE_PACKAGE', `${join(folder, name)} is missing`);
    return bytes;
  };
  return { root: read(shippedFiles.root), codesign: read(shippedFiles.codesign), devices: read(shippedFiles.devices) };
}
