/**
 * Checks that the installer's input is the approved plan, nothing more and nothing else. It is the last check before anything is
 * unpacked. The planner and the download checked the same; here it is checked again from the signed statements.
 */
import {
  shortDigest,
  canonicalBytes,
  planFormat,
  releasePaths,
  sha256,
  statementFormat,
  type DecidedStep,
  type Grant,
  type PlanStep,
  type Statement,
} from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { listDecisions } from '../generations/capability-decisions.ts';
import { engineError } from '../generations/engine-errors.ts';
import { currentRow, readComponentRows, type NewComponent } from '../generations/generations.ts';
import { hasArchive, type ReadyArchive } from '../generations/store.ts';
import type { DecidedInstall } from './decided-install.ts';

/**
 * By component: base and exactly the granted capabilities that have files. Archives for which `hasArchive` is true may be left out.
 */
export type FetchedArchives = ReadonlyMap<string, readonly ReadyArchive[]>;

export interface CheckedInstall {
  /** Every component of the new generation. */
  readonly components: readonly NewComponent[];
  /** Every archive of the input. */
  readonly archives: readonly ReadyArchive[];
}

/** @throws INSTALL_INPUT INSTALL_PLAN_STALE INSTALL_NOTHING_LEFT INSTALL_REFERENCE STORE_ARCHIVE_MISSING */
export function checkInstall(device: Device, decided: DecidedInstall, fetched: FetchedArchives): CheckedInstall {
  const { plan, digest, steps, dropped } = decided;
  const running = currentRow(device)?.generation ?? 0;
  if (sha256(planFormat.serialize(plan)) !== digest)
    throw engineError('INSTALL_INPUT', `the plan does not have the digest ${digest}`);
  if (plan.fromGeneration !== running)
    throw engineError('INSTALL_PLAN_STALE', `the plan starts from generation ${plan.fromGeneration}, ${running} runs`);
  if (steps.length + dropped.length !== plan.steps.length)
    throw engineError(
      'INSTALL_INPUT',
      `the plan has ${plan.steps.length} steps, ${steps.length} are decided and ${dropped.length} left out`,
    );
  const components = new Map(carriedOver(device, running).map((component) => [component.component, component]));
  for (const planned of plan.steps) {
    const { component } = planned;
    // A dropped component stays as it is.
    if (dropped.some((one) => one.component === component)) continue;
    const step = steps.find((one) => one.step.component === component);
    if (!step || !same(step.step, planned))
      throw engineError('INSTALL_INPUT', `the step for ${component} is not the plan's`);
    if (planned.to === null) components.delete(component);
    else
      components.set(
        component,
        checkStep(device, step, decided.statements.get(component)?.bytes, fetched.get(component) ?? []),
      );
  }
  if (steps.length === 0)
    throw engineError('INSTALL_NOTHING_LEFT', dropped.map((one) => `${one.component}: ${one.reason}`).join('; '));
  const wanted = new Set(steps.filter(({ step }) => step.to !== null).map(({ step }) => step.component));
  const extra = [...fetched].find(([name, { length }]) => length > 0 && !wanted.has(name));
  if (extra) throw engineError('INSTALL_INPUT', `archives of ${extra[0]} were fetched, which no step installs`);
  checkReferences([...components.values()]);
  return {
    components: [...components.values()].sort((a, b) => (a.component < b.component ? -1 : 1)),
    archives: [...fetched.values()].flat(),
  };
}

const same = (a: unknown, b: unknown): boolean => canonicalBytes(a).equals(canonicalBytes(b));

/** The running components, without what was revoked since and without its files. */
function carriedOver(device: Device, running: number): NewComponent[] {
  if (running === 0) return [];
  return readComponentRows(device, running).map((row) => {
    const granted = row.grants.filter(({ capability }) => isGranted(device, row.component, capability));
    const kept = new Set(['', ...granted.map(({ capability }) => capability)]);
    return { ...row, grants: granted, archives: row.archives.filter(({ capability }) => kept.has(capability)) };
  });
}

const isGranted = (device: Device, component: string, capability: string): boolean =>
  listDecisions(device, [component]).some((row) => row.capability === capability && row.state === 'granted');

function checkStep(
  device: Device,
  { step: planned, grants }: DecidedStep,
  statementBytes: Uint8Array | undefined,
  archives: readonly ReadyArchive[],
): NewComponent {
  const { component } = planned;
  const to = planned.to!;
  if (statementBytes === undefined || sha256(statementBytes) !== to.release)
    throw engineError('INSTALL_INPUT', `the statement of ${component} is not the release ${to.release}`);
  const statement = statementFormat.parse(statementBytes, `the statement of ${component}`);
  const { manifest } = statement.predicate;
  if (manifest.name !== component || manifest.version !== to.version || manifest.platform !== to.platform)
    throw engineError('INSTALL_INPUT', `the statement is of ${manifest.name} ${manifest.version} ${manifest.platform}`);
  for (const grant of grants) checkGrant(planned, statement, grant);
  for (const { id, required } of manifest.capabilities)
    if (required && !grants.some(({ capability }) => capability === id))
      throw engineError('INSTALL_INPUT', `${component} requires ${id}, which is not granted`);
  return {
    component,
    ...to,
    statement: statementBytes,
    grants,
    archives: checkArchives(device, statement, grants, archives),
  };
}

/** Checks consent again: the plan asked for the grant or keeps it, with that contract and scope, and the release declares it. */
function checkGrant(planned: PlanStep, statement: Statement, grant: Grant): void {
  const { capability, contract, risk, scope, state } = grant;
  const approved = [...planned.decisions, ...planned.kept].find((other) => other.capability === capability);
  const shown = `${capability} of ${planned.component}`;
  if (state !== 'granted') throw engineError('INSTALL_INPUT', `${shown} is ${state}, not granted`);
  if (!approved || !same({ contract, risk, scope }, pick(approved)))
    throw engineError('INSTALL_INPUT', `${shown} is not granted by the plan`);
  const declared = statement.predicate.manifest.capabilities.find(({ id }) => id === capability);
  if (!declared || declared.contract !== contract)
    throw engineError('INSTALL_INPUT', `${shown} is not declared by the release`);
}

const pick = ({ contract, risk, scope }: Pick<Grant, 'contract' | 'risk' | 'scope'>): object => ({
  contract,
  risk,
  scope,
});

/** Checks the archives by the statement: base and granted capabilities with files; nothing else may have been fetched. */
function checkArchives(
  device: Device,
  { subject, predicate }: Statement,
  grants: readonly Grant[],
  archives: readonly ReadyArchive[],
): { capability: string; sha256: string }[] {
  const { name, version, platform } = predicate.manifest;
  const paths = releasePaths(name, version, platform);
  const wanted = ['', ...grants.map(({ capability }) => capability)].flatMap((capability) => {
    const path = capability === '' ? paths.base : paths.capability(capability);
    const found = subject.find((other) => other.name === path);
    return found ? [{ capability, digest: found.digest.sha256, ...found.annotations }] : [];
  });
  if (wanted[0]?.capability !== '') throw engineError('INSTALL_INPUT', `the statement of ${name} names no base`);
  for (const { capability, sha256: digest, length, unpacked, files } of archives)
    if (!wanted.some((other) => same({ ...other }, { capability, digest, length, unpacked, files })))
      throw engineError(
        'INSTALL_INPUT',
        `archive ${shortDigest(digest)} for "${capability}" of ${name} was not approved`,
      );
  for (const { capability, digest } of wanted)
    if (!hasArchive(device, digest) && !archives.some(({ sha256: ready }) => ready === digest))
      throw engineError(
        'STORE_ARCHIVE_MISSING',
        `archive ${shortDigest(digest)} for "${capability}" of ${name} is missing`,
      );
  return wanted.map(({ capability, digest }) => ({ capability, sha256: digest }));
}

const reference = /^\$\{component:([a-z][a-z0-9-]{0,62})\}\//;

/** A hook may run a program of another component only if that component is required and part of the new generation. */
function checkReferences(components: readonly NewComponent[]): void {
  const names = new Set(components.map(({ component }) => component));
  for (const { component, statement } of components) {
    const { hooks, requires } = statementFormat.parse(statement).predicate.manifest;
    for (const [argv] of Object.values(hooks)) {
      const other = reference.exec(argv[0] ?? '')?.[1];
      if (other !== undefined && (!Object.hasOwn(requires, other) || !names.has(other)))
        throw engineError('INSTALL_REFERENCE', `a hook of ${component} runs a program of ${other}`);
    }
  }
}
