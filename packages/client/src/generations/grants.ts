/**
 * What is open: effective capabilities = granted when the running generation was made ∩ still granted ∩ declared ∩ not denied
 * by policy. `grants/<component>.json` says so to the component; it is derived from the database, never read back.
 *
 * Invariants: taking back closes the gate before the function returns; a file is replaced as a whole; a capability that is
 * not effective never stands in a file.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { effectiveCapabilities, type Grant, type Manifest } from '@countersign/protocol';
import { readIfPresent, removeDurable, removeLeftovers, writeDurable } from '@countersign/protocol/node';
import { raiseAlert } from '../device/alerts.ts';
import { appendAudit, timeText } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import { grantsFolder, requireLock, type Device } from '../device/device.ts';
import { engineError } from './engine-errors.ts';
import { currentGeneration, generationGrants, type InstalledComponent } from './generations.ts';
import { noteRevocation } from './journal.ts';
import { denials } from '../trust/policy.ts';

/** What a component may do as part of that generation, right now. Sorted by capability. */
export function effectiveGrants(device: Device, generation: number, component: string, manifest: Manifest): Grant[] {
  const states = capabilityStates(device, component);
  const granted = generationGrants(device, generation, component).filter(
    ({ capability }) => states.get(capability) === 'granted',
  );
  const denialOf = denials(device);
  const open = effectiveCapabilities(manifest, granted, (capability) => denialOf(component, capability));
  // The release may declare less than what was granted; never more.
  return granted.flatMap((grant) => {
    const found = open.find(({ id }) => id === grant.capability);
    return found ? [{ ...grant, scope: found.scope }] : [];
  });
}

function capabilityStates(device: Device, component: string): Map<string, Grant['state']> {
  const rows = device.database
    .prepare('SELECT capability, state FROM capability WHERE component = ?')
    .all(component) as unknown as { capability: string; state: Grant['state'] }[];
  return new Map(rows.map(({ capability, state }) => [capability, state]));
}

export const grantsFile = (device: Pick<Device, 'directory'>, component: string): string =>
  join(grantsFolder(device), `${component}.json`);

/**
 * Makes `grants/` say what is effective: files that differ are rewritten, files of components that are not installed go.
 * @throws DISK_FULL FILE_WRITE
 */
export function writeGrants(device: Device): void {
  requireLock(device);
  const components = currentGeneration(device)?.components ?? [];
  removeLeftovers(grantsFolder(device));
  for (const component of components) writeComponentGrants(device, component);
  const installed = new Set(components.map(({ component }) => `${component}.json`));
  for (const name of readdirSync(grantsFolder(device)))
    if (!installed.has(name)) removeDurable(join(grantsFolder(device), name));
}

function writeComponentGrants(
  device: Device,
  { component, release, version, grants, archives }: InstalledComponent,
): void {
  const content = {
    component,
    release,
    version,
    grants: grants.map(({ capability, contract, scope }) => ({
      id: capability,
      contract,
      scope,
      /** Its own files, where it has some. */
      path: archives.find((archive) => archive.capability === capability)?.folder ?? null,
    })),
  };
  const bytes = `${JSON.stringify(content, null, 2)}\n`;
  const file = grantsFile(device, component);
  if (currentContent(file) !== bytes) writeDurable(file, bytes, { mode: 0o644 });
}

/** Undefined when it is absent or cannot be read: it is then written anew. */
function currentContent(file: string): string | undefined {
  try {
    return readIfPresent(file, 4 << 20)?.toString('utf8');
  } catch {
    return undefined;
  }
}

/**
 * Takes a capability back: from the moment this returns, the component's grants no longer name it, whatever happens to the
 * process or the power. Its files go with the next generation. `by` says who, without a personal name.
 * May run while an installation is under way in this process. @throws CAPABILITY_NOT_GRANTED
 */
export function revokeCapability(device: Device, component: string, capability: string, by: string): void {
  requireLock(device);
  const { database } = device;
  transact(database, () => {
    const { changes } = database
      .prepare(
        `UPDATE capability SET state = 'revoked', since = ?
         WHERE component = ? AND capability = ? AND state IN ('granted', 'suspended')`,
      )
      .run(timeText(device.clock()), component, capability);
    // Also what a change under way is about to grant.
    const pending = noteRevocation(device, component, capability);
    if (changes === 0 && !pending)
      throw engineError('CAPABILITY_NOT_GRANTED', `${capability} of ${component} is not granted`);
    appendAudit(device, 'capability-revoked', { component, capability, by });
  });
  closeGate(device, component);
}

function closeGate(device: Device, component: string): void {
  const installed = currentGeneration(device)?.components.find((other) => other.component === component);
  if (!installed) return;
  try {
    writeComponentGrants(device, installed);
  } catch (error) {
    // A full disk must not keep a gate open: without the file everything is closed, and the next start writes it.
    removeDurable(grantsFile(device, component));
    const message = `the grants of ${component} cannot be written, all of them are closed: ${String(error)}`;
    raiseAlert(device, { code: 'COMPONENT_UNHEALTHY', component, severity: 'critical', message });
  }
}

interface CapabilityRow {
  readonly component: string;
  readonly capability: string;
  readonly contract: number;
  readonly risk: string;
  readonly scope: string;
  readonly state: Grant['state'];
  readonly approval: string | null;
  readonly since: string;
}

/** The decisions about some components, to restore them if a change is undone. */
export const readDecisions = (device: Device, components: readonly string[]): CapabilityRow[] =>
  components.flatMap((component) =>
    (
      device.database
        .prepare('SELECT * FROM capability WHERE component = ? ORDER BY capability')
        .all(component) as unknown as CapabilityRow[]
    ).map((row) => ({ ...row })),
  );

export type Decisions = readonly CapabilityRow[];

/**
 * Records what an approved plan decided about a component; inside the switch's transaction. What was granted and is in
 * neither list was closed by the release: it is forgotten, so that it is asked again if it returns. What `revoked` names was
 * taken back while the change was under way and stays off.
 */
export function applyDecisions(
  device: Device,
  component: string,
  plan: string,
  decided: {
    readonly grants: readonly Grant[];
    readonly declined: readonly Grant[];
    readonly revoked: readonly string[];
  },
): void {
  const rows = new Map(readDecisions(device, [component]).map((row) => [row.capability, row]));
  for (const grant of [...decided.grants, ...decided.declined]) {
    const before = rows.get(grant.capability);
    rows.delete(grant.capability);
    const state = decided.revoked.includes(grant.capability) ? 'revoked' : grant.state;
    const row = { ...grant, component, state, scope: JSON.stringify(grant.scope) };
    const same = (['state', 'contract', 'risk', 'scope'] as const).every((field) => before?.[field] === row[field]);
    if (!same) writeRow(device, { ...row, approval: plan, since: timeText(device.clock()) });
  }
  for (const row of rows.values()) if (row.state === 'granted' || row.state === 'suspended') deleteRow(device, row);
}

/**
 * Undoes a change's decisions: each is as it was before, but what was taken back meanwhile stays so, a refusal of what was
 * never granted stays, and what was newly granted is suspended.
 */
export function restoreDecisions(device: Device, components: readonly string[], before: Decisions): void {
  const earlier = new Set(before.map(({ component, capability }) => `${component}/${capability}`));
  const revoked = new Set<string>();
  for (const row of readDecisions(device, components)) {
    if (row.state === 'revoked') revoked.add(`${row.component}/${row.capability}`);
    else if (row.state === 'granted' && !earlier.has(`${row.component}/${row.capability}`))
      writeRow(device, { ...row, state: 'suspended', since: timeText(device.clock()) });
  }
  for (const row of before) if (!revoked.has(`${row.component}/${row.capability}`)) writeRow(device, row);
}

/**
 * For going back to an older generation: what it granted is granted again as it was then, unless it was taken back or
 * refused since; what was granted later is suspended. Returns what is granted.
 */
export function reviveDecisions(device: Device, component: string, then: readonly Grant[]): Grant[] {
  const rows = new Map(readDecisions(device, [component]).map((row) => [row.capability, row]));
  const since = timeText(device.clock());
  const granted = then.filter(({ capability }) => !['revoked', 'declined'].includes(rows.get(capability)?.state ?? ''));
  for (const grant of granted) {
    const row = rows.get(grant.capability);
    rows.delete(grant.capability);
    writeRow(device, { ...grant, scope: JSON.stringify(grant.scope), approval: row?.approval ?? null, since });
  }
  for (const row of rows.values()) if (row.state === 'granted') writeRow(device, { ...row, state: 'suspended', since });
  return granted;
}

const writeRow = (device: Device, row: CapabilityRow): void =>
  void device.database
    .prepare('INSERT OR REPLACE INTO capability VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    .run(row.component, row.capability, row.contract, row.risk, row.scope, row.state, row.approval, row.since);

const deleteRow = (device: Device, { component, capability }: CapabilityRow): void =>
  void device.database
    .prepare('DELETE FROM capability WHERE component = ? AND capability = ?')
    .run(component, capability);
