/**
 * Generations: rows that say which components, of which release, with which unpacked archives and grants, run together. The
 * `current` row names the running one. Invariants: a generation's rows never change once written, except its state and, after it
 * stops being kept, its archives; `current` changes only in the transactions of `switch.ts`.
 */
import { Buffer } from 'node:buffer';
import { statementFormat, type Grant, type Manifest } from '@countersign/protocol';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { engineError } from './engine-errors.ts';
import { archiveFolder } from './store.ts';

export interface InstalledArchive {
  /** '' is the base. */
  readonly capability: string;
  readonly sha256: string;
  /** Absolute, inside the store. */
  readonly folder: string;
}

export interface InstalledComponent {
  readonly component: string;
  readonly version: string;
  readonly platform: Manifest['platform'];
  readonly release: string;
  readonly manifest: Manifest;
  readonly archives: readonly InstalledArchive[];
}

export interface Generation {
  readonly number: number;
  /** Digest of the plan that made it. */
  readonly plan: string;
  readonly state: 'staged' | 'current' | 'previous' | 'rolled-back' | 'collected';
  /** Sorted by name. */
  readonly components: readonly InstalledComponent[];
}

/** The generation that runs, including one on probation; null while nothing is installed. */
export function currentGeneration(device: Device): Generation | null {
  const row = currentRow(device);
  return row === null ? null : readGeneration(device, row.generation);
}

export interface CurrentRow {
  readonly generation: number;
  readonly previous: number | null;
}

export function currentRow(device: Device): CurrentRow | null {
  const row = device.database.prepare('SELECT generation, previous FROM current').get() as CurrentRow | undefined;
  return row === undefined ? null : { ...row };
}

/** Points the device at a generation, or at none. Inside the caller's transaction. */
export function writeCurrentRow(device: Device, row: CurrentRow | null): void {
  device.database.prepare('DELETE FROM current').run();
  if (row) device.database.prepare('INSERT INTO current VALUES (1, ?, ?)').run(row.generation, row.previous);
}

interface ComponentRow {
  readonly component: string;
  readonly version: string;
  readonly platform: Manifest['platform'];
  readonly release: string;
  readonly statement: Uint8Array;
}

/** @throws RangeError for an unknown number: numbers come from our own rows */
export function readGeneration(device: Device, number: number): Generation {
  const { database } = device;
  const row = database.prepare('SELECT number, plan, state FROM generation WHERE number = ?').get(number) as
    Pick<Generation, 'number' | 'plan' | 'state'> | undefined;
  if (row === undefined) throw new RangeError(`no generation ${number}`);
  const components = database
    .prepare(
      'SELECT component, version, platform, release, statement FROM generation_component WHERE generation = ? ORDER BY component',
    )
    .all(number) as unknown as ComponentRow[];
  return {
    ...row,
    components: components.map(({ statement, ...component }) => {
      const { manifest } = statementFormat.parse(statement, `the statement of ${component.component}`).predicate;
      return {
        ...component,
        manifest,
        archives: archivesOf(device, number, component.component),
      };
    }),
  };
}

function archivesOf(device: Device, number: number, component: string): InstalledArchive[] {
  const rows = device.database
    .prepare(
      'SELECT capability, sha256 FROM generation_archive WHERE generation = ? AND component = ? ORDER BY capability',
    )
    .all(number, component) as unknown as { capability: string; sha256: string }[];
  return rows.map((row) => ({ ...row, folder: archiveFolder(device, row.sha256) }));
}

/** A component for the rows of a new generation. */
export interface NewComponent {
  readonly component: string;
  readonly version: string;
  readonly platform: string;
  readonly release: string;
  readonly statement: Uint8Array;
  readonly grants: readonly Grant[];
  readonly archives: readonly { readonly capability: string; readonly sha256: string }[];
}

/** The next free number: one above the highest ever used. */
export const nextGenerationNumber = (device: Device): number =>
  (device.database.prepare('SELECT coalesce(max(number), 0) + 1 AS next FROM generation').get() as { next: number })
    .next;

/** Writes the rows of a staged generation, inside the caller's transaction. Every archive must be in the store. */
export function writeGeneration(
  device: Device,
  { number, plan, created }: { number: number; plan: string; created: string },
  components: readonly NewComponent[],
): void {
  const { database } = device;
  database.prepare('INSERT INTO generation VALUES (?, ?, ?, ?)').run(number, plan, 'staged', created);
  for (const { component, version, platform, release, statement, grants, archives } of components) {
    database
      .prepare('INSERT INTO generation_component VALUES (?, ?, ?, ?, ?, ?)')
      .run(number, component, version, platform, release, statement);
    for (const { capability, sha256 } of archives)
      database.prepare('INSERT INTO generation_archive VALUES (?, ?, ?, ?)').run(number, component, capability, sha256);
    for (const { capability, contract, risk, scope } of grants)
      database
        .prepare('INSERT INTO generation_grant VALUES (?, ?, ?, ?, ?, ?)')
        .run(number, component, capability, contract, risk, JSON.stringify(scope));
  }
}

export function setGenerationState(device: Device, number: number, state: Generation['state']): void {
  device.database.prepare('UPDATE generation SET state = ? WHERE number = ?').run(state, number);
}

/** Forgets a staged generation that never ran. Its archives are collected later. */
export function dropGeneration(device: Device, number: number): void {
  const { database } = device;
  const drop = (): void => {
    database.prepare('DELETE FROM generation_archive WHERE generation = ?').run(number);
    database.prepare('DELETE FROM generation_grant WHERE generation = ?').run(number);
    database.prepare('DELETE FROM generation_component WHERE generation = ?').run(number);
    database.prepare('DELETE FROM generation WHERE number = ?').run(number);
  };
  if (database.isTransaction) drop();
  else transact(database, drop);
}

/** A generation's components as they were written, for reuse in the next generation. */
export function readComponentRows(device: Device, number: number): NewComponent[] {
  const rows = device.database
    .prepare(
      'SELECT component, version, platform, release, statement FROM generation_component WHERE generation = ? ORDER BY component',
    )
    .all(number) as unknown as ComponentRow[];
  return rows.map((row) => ({
    ...row,
    statement: Buffer.from(row.statement),
    grants: generationGrants(device, number, row.component),
    archives: archivesOf(device, number, row.component),
  }));
}

/** The statement of a release that some generation contains; null if none does. */
export function installedStatement(device: Device, release: string): Uint8Array | null {
  const row = device.database
    .prepare('SELECT statement FROM generation_component WHERE release = ? LIMIT 1')
    .get(release) as { statement: Uint8Array } | undefined;
  return row?.statement ?? null;
}

/** Forgets the archives of all generations except `kept`, inside the caller's transaction. */
export function collectGenerations(device: Device, kept: readonly number[]): void {
  const numbers = JSON.stringify(kept);
  device.database
    .prepare('DELETE FROM generation_archive WHERE generation NOT IN (SELECT value FROM json_each(?))')
    .run(numbers);
  device.database
    .prepare(
      "UPDATE generation SET state = 'collected' WHERE state = 'previous' AND number NOT IN (SELECT value FROM json_each(?))",
    )
    .run(numbers);
}

/** Digests of the archives that some generation still uses. */
export const usedArchives = (device: Device): string[] =>
  (device.database.prepare('SELECT DISTINCT sha256 FROM generation_archive').all() as { sha256: string }[]).map(
    ({ sha256 }) => sha256,
  );

/** What was granted when the generation was made, regardless of later changes. */
export function generationGrants(device: Device, number: number, component: string): Grant[] {
  const rows = device.database
    .prepare(
      'SELECT capability, contract, risk, scope FROM generation_grant WHERE generation = ? AND component = ? ORDER BY capability',
    )
    .all(number, component) as unknown as {
    capability: string;
    contract: number;
    risk: Grant['risk'];
    scope: string;
  }[];
  return rows.map(({ scope, ...row }) => ({
    component,
    ...row,
    scope: JSON.parse(scope) as Grant['scope'],
    state: 'granted',
  }));
}

/** @throws COMPONENT_NOT_INSTALLED */
export function findComponent(generation: Generation | null, component: string): InstalledComponent {
  const found = generation?.components.find((other) => other.component === component);
  if (!found)
    throw engineError('COMPONENT_NOT_INSTALLED', `${component} is not in generation ${generation?.number ?? 0}`);
  return found;
}

export function baseOf(component: InstalledComponent): InstalledArchive {
  const base = component.archives.find(({ capability }) => capability === '');
  if (!base) throw new RangeError(`${component.component} has no base`); // equivalent: every generation is written with bases
  return base;
}
