/** Makes small real components for tests of the install engine: packed archives, statements, plans and the installer's input. */
import { copyFileSync, chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  canonicalBytes,
  devicesPayloadType,
  devicesType,
  planDigest,
  planType,
  predicateType,
  releasePaths,
  sha256,
  statementFormat,
  statementType,
  type Capability,
  type DecidedStep,
  type Grant,
  type Hook,
  type Manifest,
  type Plan,
  type PlanStep,
} from '@countersign/protocol';
import { packArchive } from '@countersign/protocol/node';
import type { Device } from '../../packages/client/src/device/device.ts';
import { readSetting } from '../../packages/client/src/device/settings.ts';
import { currentGeneration, type InstalledComponent } from '../../packages/client/src/generations/generations.ts';
import { addPlan, planState, setPlanState } from '../../packages/client/src/generations/plans.ts';
import type { ReadyArchive } from '../../packages/client/src/generations/store.ts';
import type { PlanStatement } from '../../packages/client/src/installing/decided-install.ts';
import type { InstallRequest } from '../../packages/client/src/installing/installer.ts';
import { putRow } from './tampering.ts';

/** A packed release that can be installed any number of times. */
export interface Kit {
  readonly component: string;
  readonly version: string;
  readonly release: string;
  readonly manifest: Manifest;
  readonly statement: Buffer;
  /** By capability; '' is the base. */
  readonly archives: ReadonlyMap<string, ReadyArchive>;
}

export interface KitOptions {
  readonly component: string;
  readonly version: string;
  readonly requires?: Record<string, string>;
  readonly capabilities?: readonly (Partial<Capability> & { id: string })[];
  /** Files of a capability, by path. */
  readonly capabilityFiles?: Record<string, Record<string, string>>;
  /** Further files of the base, by path. */
  readonly files?: Record<string, string>;
  readonly hooks?: Partial<Record<'stop' | 'start' | 'health', Hook>>;
  /** Bodies of the hook scripts; the usual ones keep `running` in the component's data folder. */
  readonly scripts?: Partial<Record<'stop' | 'start' | 'health', string>>;
}

const texts = { en: 'x' };

/** A folder for packed archives, gone with the machine's temporary files. */
export const kitFolder = (): string => mkdtempSync(join(tmpdir(), 'countersign-kit-'));

/** Packs a component whose hooks are POSIX scripts: `running` holds the version while it runs, `log` every call. */
export async function makeKit(folder: string, options: KitOptions): Promise<Kit> {
  const { component, version } = options;
  const capabilities = (options.capabilities ?? []).map((capability) => ({
    contract: 1,
    risk: 'standard' as const,
    required: false,
    scope: {},
    title: texts,
    description: texts,
    ...capability,
  }));
  const manifest: Manifest = {
    name: component,
    version,
    platform: 'linux-x64',
    title: texts,
    requires: options.requires ?? {},
    models: ['*'],
    capabilities,
    hooks: { stop: [['bin/stop'], 10], start: [['bin/start'], 10], health: [['bin/health'], 2], ...options.hooks },
    rollback: 'safe',
  };
  const log = (name: string): string =>
    `#!/bin/sh\necho "${name} ${version}" >> "$COUNTERSIGN_DATA/log"\n[ -n "$COUNTERSIGN_GRANTS" ] || exit 9\n`;
  const scripts = {
    stop: 'echo stopped > "$COUNTERSIGN_DATA/running"\n',
    start: `echo ${version} > "$COUNTERSIGN_DATA/running"\n`,
    health: `read running < "$COUNTERSIGN_DATA/running"\n[ "$running" = "${version}" ]\n`,
    ...options.scripts,
  };
  const base: Record<string, string> = { version, ...options.files };
  for (const [name, body] of Object.entries(scripts)) base[`bin/${name}`] = log(name) + body;
  const paths = releasePaths(component, version, 'linux-x64');
  const packed = new Map<string, ReadyArchive>();
  const sources = new Map([['', base], ...Object.entries(options.capabilityFiles ?? {})]);
  const subject = [];
  for (const [capability, files] of sources) {
    const source = join(folder, `${component}-${version}-${capability || 'base'}`);
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(source, path)), { recursive: true });
      writeFileSync(join(source, path), content);
      chmodSync(join(source, path), content.startsWith('#!') ? 0o755 : 0o644);
    }
    const file = `${source}.tar.zst`;
    const archive = await packArchive({ sourceDir: source, output: file });
    packed.set(capability, { capability, file, ...archive });
    const { sha256: digest, ...annotations } = archive;
    const name = capability === '' ? paths.base : paths.capability(capability);
    subject.push({ name, digest: { sha256: digest }, annotations });
  }
  subject.push({ name: paths.sbom, digest: { sha256: sha256('sbom') }, annotations: { length: 4 } });
  subject.sort((a, b) => (a.name < b.name ? -1 : 1));
  const predicate = { manifest, notes: {}, terms: {} };
  const statement = statementFormat.serialize({ _type: statementType, subject, predicateType, predicate });
  return { component, version, release: sha256(statement), manifest, statement, archives: packed };
}

/** What one step of a plan is to do. */
export interface Wish {
  readonly kit?: Kit;
  /** Instead of a kit: remove this component. */
  readonly remove?: string;
  readonly grant?: readonly string[];
  readonly decline?: readonly string[];
}

const newGrant = (kit: Kit, id: string, state: Grant['state']): Grant => {
  const { contract, risk, scope } = kit.manifest.capabilities.find((capability) => capability.id === id)!;
  return { component: kit.component, capability: id, contract, risk, scope, state };
};

/** An approved plan from what runs now, and the installer's input for it: copies of the archives under staging. */
export function prepare(device: Device, wishes: readonly Wish[]): InstallRequest {
  const running = currentGeneration(device);
  const steps = wishes
    .map((wish) => decidedStep(wish, running?.components ?? []))
    .sort((a, b) => (a.step.component < b.step.component ? -1 : 1));
  const plan: Plan = {
    _type: planType,
    device: readSetting(device.database, 'device') ?? '0'.repeat(64),
    model: 'Navios',
    fromGeneration: running?.number ?? 0,
    approvers: { standard: 1, high: 1, phi: 1 },
    steps: steps.map(({ step }) => step),
  };
  const digest = planDigest(plan);
  if (planState(device, digest) === null) addPlan(device, plan, digest);
  setPlanState(device, digest, 'staged');
  const kits = wishes.flatMap(({ kit }) => kit ?? []);
  return {
    decided: { digest, plan, steps, dropped: [], statements: new Map(kits.map((kit) => [kit.component, signed(kit)])) },
    archives: new Map(wishes.flatMap((wish) => (wish.kit ? [[wish.kit.component, fetched(device, wish)]] : []))),
    beforeSwitch: () => undefined,
  };
}

const signed = ({ statement }: Kit): PlanStatement => ({
  bytes: statement,
  statement: statementFormat.parse(statement),
});

function fetched(device: Device, { kit, grant = [] }: Wish): ReadyArchive[] {
  const downloads = join(device.directory, 'staging', 'downloads');
  mkdirSync(downloads, { recursive: true });
  return ['', ...grant].flatMap((capability) => {
    const archive = kit!.archives.get(capability);
    if (!archive) return [];
    const file = join(downloads, archive.sha256);
    copyFileSync(archive.file, file);
    return [{ ...archive, file }];
  });
}

function decidedStep(
  { kit, remove, grant = [], decline = [] }: Wish,
  running: readonly Pick<InstalledComponent, 'component' | 'version' | 'platform' | 'release'>[],
): DecidedStep {
  const component = kit?.component ?? remove!;
  const before = running.find((one) => one.component === component);
  const grants = grant.map((id) => newGrant(kit!, id, 'granted'));
  const declined = decline.map((id) => newGrant(kit!, id, 'declined'));
  const step: PlanStep = {
    component,
    action: kit ? (before === undefined ? 'install' : before.release === kit.release ? 'regrant' : 'update') : 'remove',
    from: before ? { version: before.version, platform: before.platform, release: before.release } : null,
    to: kit ? { version: kit.version, platform: kit.manifest.platform, release: kit.release } : null,
    urgency: 'routine',
    rollback: 'safe',
    decisions: [...grants, ...declined].map(({ capability, contract, risk, scope }) => ({
      capability,
      contract,
      risk,
      scope,
      required: kit!.manifest.capabilities.find(({ id }) => id === capability)!.required,
      change: 'new',
    })),
    kept: [],
    off: [],
    denied: [],
    closed: [],
  };
  return { step, grants, declined };
}

/** Sets a devices policy under which everything may be granted to an ordinary model, as if it had been accepted. */
export function acceptPolicy(device: Device, changes: object = {}): void {
  const body = {
    _type: devicesType,
    version: 1,
    issued: '2026-01-01T00:00:00Z',
    expires: '2036-01-01T00:00:00Z',
    signers: {
      keys: { ['0'.repeat(64)]: { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: '0'.repeat(64) } } },
      threshold: 1,
    },
    models: { Navios: { phi: false } },
    phiAllowed: [],
    denied: [],
    approvers: { standard: 1, high: 1, phi: 1 },
    regions: { global: { hosts: ['localhost'] } },
    ...changes,
  };
  const envelope = canonicalBytes({
    payload: canonicalBytes(body).toString('base64'),
    payloadType: devicesPayloadType,
    signatures: [{ keyid: '0'.repeat(64), sig: 'AAAA' }],
  });
  putRow(device, 'authority_line', { kind: 'devices', version: body.version, sha256: sha256(envelope), envelope });
}
