/** Runs operations in separate processes under the fault preload: counted, killed, or recorded for replay. */
import { spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deserialize } from 'node:v8';
import { createDevice, type Device } from '../../packages/client/src/device/device.ts';
import { writeSetting } from '../../packages/client/src/device/settings.ts';
import type { Call } from './disk-model.ts';
import { arrangeDevice, describeDevice, open, readGrantsFiles, type Kits, type Scenario } from './scenarios.ts';

const preload = pathToFileURL(join(import.meta.dirname, '../support/fault-preload.mjs')).href;
const operation = join(import.meta.dirname, 'operation.ts');

export interface Run {
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  readonly output: string;
}

/** `name` is a scenario's, or `recover`. */
export function runOperation(
  name: string,
  directory: string,
  environment: Record<string, string>,
  recordFile?: string,
): Promise<Run> {
  const options = recordFile === undefined ? [] : [recordFile];
  const child = spawn(process.execPath, ['--import', preload, operation, name, directory, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: join(directory, '../compile-cache'),
      FAULT_ROOT: directory,
      ...environment,
    },
  });
  return new Promise((done) => {
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('close', (code, signal) => done({ code, signal, output }));
  });
}

export function makeDevice(directory: string): Device {
  const device = createDevice(directory, { log: () => undefined });
  writeSetting(device.database, 'model', 'Navios');
  writeSetting(device.database, 'device', '1'.repeat(64));
  return device;
}

export function stateOf(directory: string): string {
  const device = open(directory);
  const state = describeDevice(device);
  device.database.close();
  return state;
}

export interface Recording {
  /** The device before the operation. */
  readonly start: string;
  readonly calls: readonly Call[];
  /** The states that the device may have: before, then after. */
  readonly states: readonly string[];
  /** `grants/` when the operation was over. */
  readonly grants: Map<string, string>;
  readonly dataFolders: readonly string[];
}

/** Prepares a device for the scenario and records its operation on a copy. */
export async function recordScenario(folder: string, scenario: Scenario, kits: Kits): Promise<Recording> {
  const start = join(folder, scenario.name.replaceAll(' ', '-'));
  await arrangeDevice(start, makeDevice, scenario, kits);
  const { whole, calls } = await recordCalls(scenario.name, start, `${start}-whole`);
  return {
    start,
    calls,
    states: [stateOf(start), stateOf(whole)],
    grants: readGrantsFiles(whole),
    dataFolders: readdirSync(join(whole, 'data')),
  };
}

/** Records the operation on a copy of its start; returns the calls as if it had run on the start itself. */
export async function recordCalls(
  name: string,
  start: string,
  whole: string,
): Promise<{ whole: string; calls: Call[] }> {
  cpSync(start, whole, { recursive: true });
  const recordFile = `${whole}.calls`;
  const { code } = await runOperation(name, whole, { FAULT_MODE: 'record' }, recordFile);
  if (code !== 0) throw new Error(`${name} ended with ${code}`);
  const calls = (deserialize(readFileSync(recordFile)) as Call[]).map((call) => rebase(call, whole, start));
  return { whole, calls };
}

/** The recorded paths as if the operation had run on the start itself. */
export function rebase(call: Call, from: string, to: string): Call {
  const moved: Record<string, unknown> = { ...call };
  const move = (path: string): string => (path.startsWith(from) ? to + path.slice(from.length) : path);
  for (const key of ['path', 'from', 'to']) if (typeof moved[key] === 'string') moved[key] = move(moved[key]);
  if ('paths' in call) moved.paths = call.paths.map(move);
  return moved as unknown as Call;
}
