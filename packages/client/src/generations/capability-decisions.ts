/**
 * The latest decision about each capability, as rows; what is really open follows from them and from the running generation
 * (`grants.ts`). Changed only inside the transaction of the change or the revocation that decides.
 */
import type { Grant } from '@countersign/protocol';
import { timeText } from '../device/audit.ts';
import type { Device } from '../device/device.ts';

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

/** The decisions about some components as rows, to restore them if a change is undone. */
export const readDecisions = (device: Device, components: readonly string[]): CapabilityRow[] =>
  components.flatMap((component) =>
    (
      device.database
        .prepare('SELECT * FROM capability WHERE component = ? ORDER BY capability')
        .all(component) as unknown as CapabilityRow[]
    ).map((row) => ({ ...row })),
  );

/** The latest decision about every capability of every component. */
export const listDecisions = (device: Device): Grant[] =>
  (
    device.database
      .prepare(
        'SELECT component, capability, contract, risk, scope, state FROM capability ORDER BY component, capability',
      )
      .all() as (Omit<Grant, 'scope'> & { scope: string })[]
  ).map((row) => ({ ...row, scope: JSON.parse(row.scope) as Grant['scope'] }));

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

/** Takes one back inside the revocation's transaction; false where it was neither granted nor suspended. */
export const revokeDecision = (device: Device, component: string, capability: string): boolean =>
  device.database
    .prepare(
      `UPDATE capability SET state = 'revoked', since = ?
       WHERE component = ? AND capability = ? AND state IN ('granted', 'suspended')`,
    )
    .run(timeText(device.clock()), component, capability).changes > 0;

const writeRow = (device: Device, row: CapabilityRow): void =>
  void device.database
    .prepare('INSERT OR REPLACE INTO capability VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    .run(row.component, row.capability, row.contract, row.risk, row.scope, row.state, row.approval, row.since);

const deleteRow = (device: Device, { component, capability }: CapabilityRow): void =>
  void device.database
    .prepare('DELETE FROM capability WHERE component = ? AND capability = ?')
    .run(component, capability);
