/**
 * Keeps the latest decision about each capability, as rows. What is really open follows from them and from the running generation
 * (`grants.ts`). They change only inside the transaction of the change or revocation that decides.
 */
import { isDeepStrictEqual } from 'node:util';
import { timeText, type Grant } from '@countersign/protocol';
import type { Device } from '../device/device.ts';

/** A decision as it is kept: with the plan whose approval made it, and the time since when it applies. */
export interface CapabilityDecision extends Grant {
  readonly approval: string | null;
  readonly since: string;
}

/** The latest decisions about these components, or about all, sorted by component and capability. */
export const listDecisions = (device: Device, components?: readonly string[]): CapabilityDecision[] =>
  (
    device.database.prepare('SELECT * FROM capability ORDER BY component, capability').all() as unknown as (Omit<
      CapabilityDecision,
      'scope'
    > & { readonly scope: string })[]
  )
    .filter(({ component }) => components?.includes(component) ?? true)
    .map((row) => ({ ...row, scope: JSON.parse(row.scope) as Grant['scope'] }));

/**
 * Records what an approved plan decided about a component, inside the switch's transaction. A granted capability that is in
 * neither list was closed by the release. It is forgotten, so that it is asked again if it returns. What `revoked` names was
 * revoked during the change and stays off.
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
  const rows = new Map(listDecisions(device, [component]).map((row) => [row.capability, row]));
  for (const grant of [...decided.grants, ...decided.declined]) {
    const before = rows.get(grant.capability);
    rows.delete(grant.capability);
    const state = decided.revoked.includes(grant.capability) ? 'revoked' : grant.state;
    const same = (['contract', 'risk', 'scope'] as const).every((field) =>
      isDeepStrictEqual(before?.[field], grant[field]),
    );
    if (!same || before?.state !== state)
      writeRow(device, { ...grant, component, state, approval: plan, since: timeText(device.clock()) });
  }
  for (const row of rows.values()) if (row.state === 'granted' || row.state === 'suspended') deleteRow(device, row);
}

/**
 * Undoes a change's decisions: each becomes what it was before. Exceptions: what was revoked meanwhile stays revoked, a refusal
 * of what was never granted stays, and what was newly granted is suspended.
 */
export function restoreDecisions(
  device: Device,
  components: readonly string[],
  before: readonly CapabilityDecision[],
): void {
  const earlier = new Set(before.map(({ component, capability }) => `${component}/${capability}`));
  const revoked = new Set<string>();
  for (const row of listDecisions(device, components)) {
    if (row.state === 'revoked') revoked.add(`${row.component}/${row.capability}`);
    else if (row.state === 'granted' && !earlier.has(`${row.component}/${row.capability}`))
      writeRow(device, { ...row, state: 'suspended', since: timeText(device.clock()) });
  }
  for (const row of before) if (!revoked.has(`${row.component}/${row.capability}`)) writeRow(device, row);
}

/**
 * For going back to an older generation: what it granted is granted again as it was then, unless it was revoked or refused since.
 * What was granted later is suspended. Returns what is granted.
 */
export function reviveDecisions(device: Device, component: string, then: readonly Grant[]): Grant[] {
  const rows = new Map(listDecisions(device, [component]).map((row) => [row.capability, row]));
  const since = timeText(device.clock());
  const granted = then.filter(({ capability }) => !['revoked', 'declined'].includes(rows.get(capability)?.state ?? ''));
  for (const grant of granted) {
    const row = rows.get(grant.capability);
    rows.delete(grant.capability);
    writeRow(device, { ...grant, approval: row?.approval ?? null, since });
  }
  for (const row of rows.values()) if (row.state === 'granted') writeRow(device, { ...row, state: 'suspended', since });
  return granted;
}

/** Revokes one inside the revocation's transaction; false if it was neither granted nor suspended. */
export const revokeDecision = (device: Device, component: string, capability: string): boolean =>
  device.database
    .prepare(
      `UPDATE capability SET state = 'revoked', since = ?
       WHERE component = ? AND capability = ? AND state IN ('granted', 'suspended')`,
    )
    .run(timeText(device.clock()), component, capability).changes > 0;

const writeRow = (device: Device, row: CapabilityDecision): void =>
  void device.database
    .prepare('INSERT OR REPLACE INTO capability VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    .run(
      row.component,
      row.capability,
      row.contract,
      row.risk,
      JSON.stringify(row.scope),
      row.state,
      row.approval,
      row.since,
    );

const deleteRow = (device: Device, { component, capability }: CapabilityDecision): void =>
  void device.database
    .prepare('DELETE FROM capability WHERE component = ? AND capability = ?')
    .run(component, capability);
