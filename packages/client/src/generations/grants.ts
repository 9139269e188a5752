/**
 * Computes and writes what is open: effective capabilities = granted when the running generation was made ∩ still granted ∩
 * declared ∩ not denied by policy. `grants/<component>.json` tells the component; it is derived from the database and never read
 * back.
 *
 * Invariants: a revocation is effective before the function returns; a file is replaced as a whole; a capability that is not
 * effective is never in a file.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { effectiveCapabilities, type Grant } from '@countersign/protocol';
import { readIfPresent, removeDurable, removeLeftovers, writeDurable } from '@countersign/protocol/node';
import { raiseAlert } from '../device/alerts.ts';
import { appendAudit } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import { grantsFolder, requireLock, type Device } from '../device/device.ts';
import { denials } from '../trust/policy.ts';
import { listDecisions, revokeDecision } from './capability-decisions.ts';
import { engineError } from './engine-errors.ts';
import { currentGeneration, generationGrants, type InstalledComponent } from './generations.ts';
import { noteRevocation } from './journal.ts';

/** What a component may do as part of that generation, right now. Sorted by capability. */
export function effectiveGrants(
  device: Device,
  generation: number,
  { component, manifest }: Pick<InstalledComponent, 'component' | 'manifest'>,
): Grant[] {
  const states = new Map(listDecisions(device, [component]).map(({ capability, state }) => [capability, state]));
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

/** The capabilities that a component of the running generation declares and that are denied here. */
export function deniedCapabilities(
  device: Device,
  { component, manifest }: Pick<InstalledComponent, 'component' | 'manifest'>,
): ReadonlySet<string> {
  const denialOf = denials(device);
  return new Set(manifest.capabilities.filter((one) => denialOf(component, one)).map(({ id }) => id));
}

export const grantsFile = (device: Pick<Device, 'directory'>, component: string): string =>
  join(grantsFolder(device), `${component}.json`);

/**
 * Updates `grants/` to what is effective: rewrites files that differ and removes files of components that are not installed.
 * @throws DISK_FULL FILE_WRITE
 */
export function writeGrants(device: Device): void {
  requireLock(device);
  const running = currentGeneration(device);
  removeLeftovers(grantsFolder(device));
  for (const component of running?.components ?? []) writeComponentGrants(device, running!.number, component);
  const installed = new Set(running?.components.map(({ component }) => `${component}.json`));
  for (const name of readdirSync(grantsFolder(device)))
    if (!installed.has(name)) removeDurable(join(grantsFolder(device), name));
}

function writeComponentGrants(device: Device, generation: number, installed: InstalledComponent): void {
  const { component, release, version, archives } = installed;
  const content = {
    component,
    release,
    version,
    grants: effectiveGrants(device, generation, installed).map(({ capability, contract, scope }) => ({
      id: capability,
      contract,
      scope,
      /** The capability's own files, if there are some. */
      path: archives.find((archive) => archive.capability === capability)?.folder ?? null,
    })),
  };
  const bytes = `${JSON.stringify(content, null, 2)}\n`;
  const file = grantsFile(device, component);
  if (currentContent(file) !== bytes) writeDurable(file, bytes, { mode: 0o644 });
}

/** Undefined if it is absent or cannot be read: it is then written again. */
function currentContent(file: string): string | undefined {
  try {
    return readIfPresent(file, 4 << 20)?.toString('utf8');
  } catch {
    return undefined;
  }
}

/**
 * Revokes a capability: from the moment this returns, the component's grants do not name it, even after a crash or a power cut.
 * Its files go with the next generation. `by` says who, without a personal name.
 * May run during an installation in this process. @throws CAPABILITY_NOT_GRANTED
 */
export function revokeCapability(device: Device, component: string, capability: string, by: string): void {
  requireLock(device);
  transact(device.database, () => {
    const revoked = revokeDecision(device, component, capability);
    // Also applies to what an unfinished change is about to grant.
    const pending = noteRevocation(device, component, capability);
    if (!revoked && !pending)
      throw engineError('CAPABILITY_NOT_GRANTED', `${capability} of ${component} is not granted`);
    appendAudit(device, 'capability-revoked', { component, capability, by });
  });
  closeGate(device, component);
}

function closeGate(device: Device, component: string): void {
  const running = currentGeneration(device);
  const installed = running?.components.find((other) => other.component === component);
  if (!running || !installed) return;
  try {
    writeComponentGrants(device, running.number, installed);
  } catch (error) {
    // A full disk must not keep a capability open. Without the file everything is closed; the next start writes it.
    removeDurable(grantsFile(device, component));
    const message = `the grants of ${component} cannot be written, all of them are closed: ${String(error)}`;
    raiseAlert(device, { code: 'COMPONENT_UNHEALTHY', component, severity: 'critical', message });
  }
}
