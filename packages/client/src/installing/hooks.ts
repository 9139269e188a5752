/**
 * Runs a component's hooks: programs that end by themselves. The device does not supervise: `start` starts a service or a
 * detached process, `health` says whether it is alive.
 *
 * Invariants: no shell; the program is an executable file on the digest list of a base in the same generation, its own or a
 * required component's; its bytes are compared with that list right before it starts; the environment holds exactly what
 * `environmentOf` lists; past the deadline the whole process tree is ended.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, type BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { codeOf, escapeText, type Hook } from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { engineError } from '../generations/engine-errors.ts';
import { baseOf, findComponent, type Generation, type InstalledComponent } from '../generations/generations.ts';
import { grantsFile } from '../generations/grants.ts';
import { archiveFiles, dataFolder, reportDamage } from '../generations/store.ts';
import { runToEnd, type Command, type ProcessIdentity } from '../platform/processes.ts';

export type HookName = 'stop' | 'start' | 'health';

export const hookOf = (component: InstalledComponent, name: HookName): Hook | undefined =>
  component.manifest.hooks[name];

/**
 * What `exec` and the hooks run: argv[0] inside a verified base, the component's folder and environment.
 * @throws HOOK_PATH STORE_DAMAGED COMPONENT_NOT_INSTALLED
 */
export function commandOf(
  device: Device,
  generation: Generation,
  component: InstalledComponent,
  argv: readonly string[],
): Command {
  return {
    file: resolveProgram(device, generation, component, argv[0] ?? ''),
    arguments: argv.slice(1),
    directory: baseOf(component).folder,
    environment: environmentOf(device, component.component),
  };
}

const reference = /^\$\{component:([a-z][a-z0-9-]{0,62})\}\/(.+)$/;

/** The absolute path of a program, after comparing its bytes with the digest list. */
function resolveProgram(device: Device, generation: Generation, component: InstalledComponent, name: string): string {
  const match = reference.exec(name);
  const shown = `${component.component} ${component.version} names "${escapeText(name, 200)}"`;
  const owner = match ? match[1]! : component.component;
  if (match && !Object.hasOwn(component.manifest.requires, owner))
    throw engineError('HOOK_PATH', `${shown}, but does not require ${owner}`);
  const base = baseOf(findComponent(generation, owner));
  const path = match ? match[2]! : name;
  // A shell runs batch files, even if we ask for none.
  if (/\.(bat|cmd)$/i.test(path)) throw engineError('HOOK_PATH', `${shown}, which a shell would run`);
  const file = archiveFiles(device, base.sha256).find((other) => other.path === path);
  if (!file) throw engineError('HOOK_PATH', `${shown}, which is not a file of its base`);
  if (!file.executable && process.platform !== 'win32')
    throw engineError('HOOK_PATH', `${shown}, which is not executable`);
  const full = join(base.folder, ...path.split('/'));
  const found = digestOf(full);
  if (found !== file.sha256)
    throw reportDamage(device, base.sha256, new Error(`${path} has sha256 ${found}, unpacked was ${file.sha256}`));
  return full;
}

/** Digests of files, valid while a file's stamp is unchanged; a program cannot set the change time. */
const digests = new Map<string, { stamp: string; sha256: string }>();

/** Hex sha256 of the file's content, or why it cannot be read. */
function digestOf(file: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    return codeOf(error) ?? 'unreadable';
  }
  try {
    const stamp = stampOf(fstatSync(descriptor, { bigint: true }));
    const known = digests.get(file);
    if (known?.stamp === stamp) return known.sha256;
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (let count; (count = readSync(descriptor, buffer)) > 0;) hash.update(buffer.subarray(0, count));
    const sha256 = hash.digest('hex');
    digests.set(file, { stamp, sha256 });
    return sha256;
  } finally {
    closeSync(descriptor);
  }
}

const stampOf = (stats: BigIntStats): string =>
  [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ');

/** The whole environment of a component's program. */
function environmentOf(device: Device, component: string): Record<string, string> {
  // Windows programs, including Node, do not start without it.
  const system = process.platform === 'win32' ? { SystemRoot: process.env.SystemRoot ?? 'C:\\Windows' } : {};
  return {
    ...system,
    COUNTERSIGN_COMPONENT: component,
    COUNTERSIGN_GRANTS: grantsFile(device, component),
    COUNTERSIGN_DATA: dataFolder(device, component),
  };
}

export interface HookOptions {
  /** Replaces the hook's own deadline. */
  readonly deadlineMilliseconds?: number;
  readonly onStarted?: (identity: ProcessIdentity) => void;
}

/**
 * Runs one hook to its end; does nothing if the component does not have it. Its output goes to the log.
 * @throws HOOK_PATH HOOK_NOT_STARTED HOOK_FAILED HOOK_DEADLINE STORE_DAMAGED
 */
export async function runHook(
  device: Device,
  generation: Generation,
  name: string,
  hook: HookName,
  options: HookOptions = {},
): Promise<void> {
  const component = findComponent(generation, name);
  const [argv, seconds] = hookOf(component, hook) ?? [];
  if (argv === undefined || seconds === undefined) return;
  const shown = `the ${hook} hook of ${name} ${component.version}`;
  const ending = await runToEnd(commandOf(device, generation, component, argv), {
    deadlineMilliseconds: options.deadlineMilliseconds ?? seconds * 1000,
    ...(options.onStarted && { onStarted: options.onStarted }),
  });
  if (ending.kind === 'not-started') throw engineError('HOOK_NOT_STARTED', `${shown} did not start: ${ending.code}`);
  const level = ending.kind === 'exited' && ending.code === 0 ? 'info' : 'warn';
  device.log({ level, event: 'hook', component: name, version: component.version, hook, ...ending });
  const said = lastLine(ending.output);
  if (ending.kind === 'deadline')
    throw engineError('HOOK_DEADLINE', `${shown} did not end within its time${said}`, { context: { component: name } });
  if (ending.kind === 'killed')
    throw engineError('HOOK_FAILED', `${shown} was killed by ${ending.signal}${said}`, {
      context: { component: name },
    });
  if (ending.code !== 0)
    throw engineError('HOOK_FAILED', `${shown} ended with exit code ${ending.code}${said}`, {
      context: { component: name },
    });
}

const lastLine = (output: string): string => {
  const line = output.trim().split('\n').at(-1) ?? '';
  return line === '' ? '' : `, saying "${escapeText(line, 200)}"`;
};
