/**
 * `countersign-device init`: makes a device. It copies the shipped package (root 1 and version 1 of both authority chains) and
 * makes the device's own key and rollout seed. It asks no server and no person: trust comes from the package alone.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { shortDigest, keyIdOf, sha256, type PublicKey } from '@countersign/protocol';
import { InvalidArgumentError, type Command } from 'commander';
import {
  makeFolder,
  readShippedFile,
  shippedFiles,
  terminalOf,
  writeDurable,
  type ShippedFile,
  type ShippedPackage,
} from '@countersign/protocol/node';
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

export function addInit(program: Command): void {
  program
    .command('init')
    .description('make this PC a device')
    .requiredOption('--server <url...>', 'repository server, the first that answers is used', collectUrl)
    .option('--host <name...>', 'hosts the device may talk to (default: those of the servers)')
    .option('--region <name>', 'region of the vendor policy', 'global')
    .requiredOption(
      '--model <name>',
      'instrument model; one the vendor does not name counts as holding personal health information',
    )
    .requiredOption('--serial <text>', 'serial number of the instrument')
    .requiredOption('--package <folder>', 'the shipped package: root.json, codesign.jsonl, devices.jsonl')
    .option('--channel <name>', 'channel to follow', 'stable')
    .action((_: unknown, command: Command) => {
      const options = command.optsWithGlobals<InitOptions>();
      const terminal = terminalOf(command);
      const device = initDevice(options);
      terminal.answer({ device, directory: resolve(options.dir) }, () => {
        terminal.print(`device ${shortDigest(device)} made in ${resolve(options.dir)}`);
        terminal.print('next: countersign-device account add NAME, then countersign-device run');
      });
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

/** Server URLs: https, or http on this machine's own loopback (tests and the demo). They always end in a slash. */
function collectUrl(text: string, before: readonly string[] | undefined): string[] {
  let url: URL;
  try {
    url = new URL(text.endsWith('/') ? text : `${text}/`);
  } catch {
    throw new InvalidArgumentError('not a URL');
  }
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback))
    throw new InvalidArgumentError('only https is used, http on loopback alone');
  if (url.username || url.password || url.search || url.hash)
    throw new InvalidArgumentError('neither a password nor a query belongs in it');
  return [...(before ?? []), url.href];
}
