/**
 * The operations that a power cut may hit, on a real device folder. `arrange` brings a device to where the operation starts and
 * writes down what it needs; `act` runs it, in a process that may be killed at any of its calls.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { statementFormat } from '@countersign/protocol';
import { unpackArchive } from '@countersign/protocol/node';
import { verifyAudit } from '../../packages/client/src/device/audit.ts';
import { openDevice, withLock, type Device } from '../../packages/client/src/device/device.ts';
import { currentGeneration } from '../../packages/client/src/generations/generations.ts';
import { effectiveGrants, grantsFile, revokeCapability } from '../../packages/client/src/generations/grants.ts';
import { openJob } from '../../packages/client/src/generations/journal.ts';
import { storeDirectories, verifyArchive, type ReadyArchive } from '../../packages/client/src/generations/store.ts';
import { runHook } from '../../packages/client/src/installing/hooks.ts';
import { install, type InstallRequest } from '../../packages/client/src/installing/installer.ts';
import { recover } from '../../packages/client/src/installing/recovery.ts';
import { rollback } from '../../packages/client/src/installing/rollback.ts';
import { acceptPolicy, makeKit, prepare, type Kit, type Wish } from '../support/release-kit.ts';

export interface Scenario {
  readonly name: string;
  arrange(device: Device, kits: Kits): Promise<void>;
  /** Under the device lock. */
  act(device: Device): Promise<unknown>;
  /** What is missing from the folder after the operation, before anything is recovered. */
  holds?(directory: string): string[];
}

export type Kits = Readonly<Record<'one' | 'two' | 'lame' | 'tool' | 'wide', Kit>>;

const capabilities = [{ id: 'view' }, { id: 'transfer', risk: 'phi' as const }];

export async function makeKits(folder: string): Promise<Kits> {
  const transfer = { transfer: { 'bin/transfer': '#!/bin/sh\n' } };
  return {
    one: await makeKit(folder, { component: 'app', version: '1.0.0', capabilities }),
    two: await makeKit(folder, { component: 'app', version: '2.0.0', capabilities, capabilityFiles: transfer }),
    lame: await makeKit(folder, { component: 'app', version: '3.0.0', scripts: { start: 'exit 4\n' } }),
    tool: await makeKit(folder, { component: 'tool', version: '1.0.0', files: { 'share/a/b': 'deep' } }),
    // Enough files to be unpacked by threads.
    wide: await makeKit(folder, {
      component: 'wide',
      version: '1.0.0',
      files: Object.fromEntries(Array.from({ length: 140 }, (_, index) => [`share/${index % 7}/${index}`, `${index}`])),
    }),
  };
}

const quiet = { log: () => undefined };
export const open = (directory: string): Device => openDevice(directory, quiet);

const put = (device: Device, wishes: readonly Wish[]): Promise<unknown> =>
  withLock(device, () => install(device, prepare(device, wishes)));

const requestFile = (device: Device): string => join(device.directory, 'inbox', 'request.json');

/** Keeps the installer's input in the device folder, so that every copy has its own. */
function keep(device: Device, wishes: readonly Wish[]): void {
  const { decided, archives } = prepare(device, wishes);
  const kept: KeptRequest = {
    decided,
    statements: [...decided.statements].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString('base64')]),
    archives: [...archives].map(([name, list]) => [name, list.map((one) => ({ ...one, file: basename(one.file) }))]),
  };
  writeFileSync(requestFile(device), JSON.stringify(kept));
}

interface KeptRequest {
  readonly decided: Omit<InstallRequest['decided'], 'statements'>;
  readonly statements: readonly (readonly [component: string, base64: string])[];
  readonly archives: readonly (readonly [component: string, archives: readonly ReadyArchive[]])[];
}

function kept(device: Device): InstallRequest {
  const { decided, statements, archives } = JSON.parse(readFileSync(requestFile(device), 'utf8')) as KeptRequest;
  const downloads = join(device.directory, 'staging', 'downloads');
  const signed = statements.map(([name, text]) => {
    const bytes = Buffer.from(text, 'base64');
    return [name, { bytes, statement: statementFormat.parse(bytes) }] as const;
  });
  return {
    decided: { ...decided, statements: new Map(signed) },
    archives: new Map(
      archives.map(([name, list]) => [name, list.map((one) => ({ ...one, file: join(downloads, one.file) }))]),
    ),
    beforeSwitch: () => undefined,
  };
}

/** Not one of the operations, because the order in which its threads write differs from run to run. */
export const inThreads: Scenario = {
  name: 'install by threads',
  arrange: async (device, { wide }) => keep(device, [{ kit: wide }]),
  act: actInstall,
};

function actInstall(device: Device): Promise<unknown> {
  return install(device, kept(device));
}

/** Operations by a person or the service. */
export const operations: readonly Scenario[] = [
  {
    name: 'first install',
    arrange: async (device, { one }) => keep(device, [{ kit: one, grant: ['view'] }]),
    act: actInstall,
  },
  {
    name: 'update with a new capability',
    arrange: async (device, { one, two, tool }) => {
      await put(device, [{ kit: one, grant: ['view'] }, { kit: tool }]);
      keep(device, [{ kit: two, grant: ['view', 'transfer'] }]);
    },
    act: actInstall,
  },
  {
    name: 'update that fails and goes back',
    arrange: async (device, { one, lame }) => {
      await put(device, [{ kit: one, grant: ['view'] }]);
      keep(device, [{ kit: lame }]);
    },
    act: actInstall,
  },
  {
    name: 'removal',
    arrange: async (device, { one, two, tool }) => {
      await put(device, [{ kit: one }, { kit: tool }]);
      await put(device, [{ kit: two, grant: ['transfer'] }]);
      keep(device, [{ remove: 'app' }]);
    },
    act: actInstall,
  },
  {
    name: 'rollback by hand',
    arrange: async (device, { one, two }) => {
      await put(device, [{ kit: one, grant: ['view'] }]);
      await put(device, [{ kit: two, grant: ['view', 'transfer'] }]);
    },
    act: (device) => rollback(device, { check: () => undefined }),
  },
  {
    name: 'revoke',
    arrange: async (device, { one, two }) => {
      await put(device, [{ kit: one, grant: ['view'] }]);
      await put(device, [{ kit: two, grant: ['view', 'transfer'] }]);
    },
    act: async (device) => revokeCapability(device, 'app', 'transfer', 'test'),
  },
];

/** Parts that promise durability by themselves, although today's callers do not depend on it. */
const contracts: readonly Scenario[] = [
  {
    name: 'unpacking by itself',
    arrange: async (device, { tool }) => keep(device, [{ kit: tool }]),
    act: (device) => {
      const [archive] = [...kept(device).archives.values()].flat();
      const { file, capability: _capability, ...expect } = archive!;
      return unpackArchive({ archive: file, into: join(device.directory, 'inbox', 'tree'), expect });
    },
    holds: (directory) => {
      const file = join(directory, 'inbox', 'tree', 'share', 'a', 'b');
      return existsSync(file) && readFileSync(file, 'utf8') === 'deep' ? [] : [`${file} is not there`];
    },
  },
];

export const scenarios: readonly Scenario[] = [...operations, ...contracts];

/** A device in an own folder, where the scenario's operation may begin. */
export async function arrangeDevice(
  directory: string,
  make: (directory: string) => Device,
  scenario: Scenario,
  kits: Kits,
) {
  const device = make(directory);
  acceptPolicy(device, { models: { Navios: { phi: false } } });
  await scenario.arrange(device, kits);
  device.database.close();
}

/** The state of a device: everything that must be either as before the operation or as after it. */
export function describeDevice(device: Device): string {
  const running = currentGeneration(device);
  return JSON.stringify(
    (running?.components ?? []).map(({ component, version, release, manifest, archives }) => ({
      component,
      version,
      release,
      grants: effectiveGrants(device, running!.number, { component, manifest }).map(({ capability, scope }) => [
        capability,
        scope,
      ]),
      archives: archives.map(({ capability, sha256 }) => [capability, sha256]),
    })),
  );
}

export interface Recovered {
  readonly state: string;
  /** What is wrong, in words; empty when nothing is. */
  readonly faults: readonly string[];
}

/**
 * Starts the device as after a power cut, without a person and without a network, and checks that it is whole. `services`:
 * whether the components' processes died too (power cut) or live on (only the program was killed).
 */
export async function restart(directory: string, services: 'died' | 'live'): Promise<Recovered> {
  const faults: string[] = [];
  const device = open(directory);
  try {
    await withLock(device, async () => {
      const { damaged } = await recover(device);
      if (damaged.length > 0) faults.push(`damaged: ${damaged.join()}`);
      if (openJob(device)) faults.push('a change is still open');
      await checkWhole(device, services, faults);
    });
    return { state: describeDevice(device), faults };
  } catch (error) {
    return { state: '', faults: [...faults, `recovery threw ${String(error)}`] };
  } finally {
    device.database.close();
  }
}

async function checkWhole(device: Device, services: 'died' | 'live', faults: string[]): Promise<void> {
  const note = (what: string) => (error: unknown) => void faults.push(`${what}: ${String(error)}`);
  const generation = currentGeneration(device);
  for (const installed of generation?.components ?? []) {
    const { component, version, archives } = installed;
    for (const { sha256 } of archives) await verifyArchive(device, sha256).catch(note(component));
    if (services === 'died') await runHook(device, generation!, component, 'start').catch(note(`${component} start`));
    await runHook(device, generation!, component, 'health').catch(note(`${component} ${version} health`));
    const grants = effectiveGrants(device, generation!.number, installed);
    const file = JSON.parse(readFileSync(grantsFile(device, component), 'utf8')) as {
      version: string;
      grants: { id: string }[];
    };
    if (
      file.version !== version ||
      file.grants.map(({ id }) => id).join() !== grants.map(({ capability }) => capability).join()
    )
      faults.push(`grants of ${component} say ${JSON.stringify(file)}`);
  }
  const store = readdirSync(join(device.directory, 'store')).sort();
  if (store.join() !== [...storeDirectories(device)].sort().join()) faults.push(`the store holds ${store.join()}`);
  if (readdirSync(join(device.directory, 'staging')).some((name) => name.startsWith('unpack-')))
    faults.push('staging is not clean');
  try {
    verifyAudit(device);
  } catch (error) {
    note('audit')(error);
  }
}

/** The grants files that a component would read now, before the device program starts again. */
export function readGrantsFiles(directory: string): Map<string, string> {
  const folder = join(directory, 'grants');
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}
