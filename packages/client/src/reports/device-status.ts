/**
 * What a device says about itself, read from its database: nothing here changes anything or needs the lock. The truth about
 * what runs comes from the current generation's rows, never from what was intended.
 */
import { readSetting } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { currentGeneration } from '../generations/generations.ts';
import { deniedCapabilities } from '../trust/policy.ts';

/** blocked: the vendor's policy denies it here, whatever was decided before. */
export type CapabilityState = 'granted' | 'declined' | 'revoked' | 'suspended' | 'blocked';

export interface DeviceStatus {
  readonly device: string;
  readonly model: string;
  readonly serial: string;
  readonly generation: number;
  readonly components: Readonly<
    Record<string, { version: string; release: string; capabilities: Record<string, CapabilityState> }>
  >;
  readonly plan: { digest: string; state: string; reason: string | null; until: string | null } | null;
  readonly rolledBack: readonly { component: string; version: string; code: string }[];
  readonly refused: readonly { component: string; version: string; code: string }[];
  readonly approvals: number;
  readonly verifiersAgreed: boolean;
  readonly alerts: readonly { code: string; component: string; severity: string; message: string; raised: string }[];
  readonly lastPoll: { at: string; outcome: string } | null;
}

const openStates =
  "('offered','awaiting-approval','held','declined','approved','downloading','paused','staged','awaiting-window','switching','probation','rolling-back')";

export function readStatus(device: Device): DeviceStatus {
  const { database } = device;
  const all = <T>(sql: string): T[] => (database.prepare(sql).all() as object[]).map((row) => ({ ...row })) as T[];
  const current = currentGeneration(device);
  const components: Record<
    string,
    { version: string; release: string; capabilities: Record<string, CapabilityState> }
  > = {};
  for (const { component, version, release, manifest } of current?.components ?? [])
    components[component] = {
      version,
      release,
      capabilities: capabilitiesOf(
        device,
        component,
        manifest.capabilities.map(({ id }) => id),
      ),
    };
  const [plan] = all<{ digest: string; state: string; reason: string | null; until: string | null }>(
    `SELECT digest, state, reason, until FROM plan WHERE state IN ${openStates} ORDER BY created DESC, changed DESC LIMIT 1`,
  );
  const installed = all<{ verdict: string | null }>(
    "SELECT verdict FROM plan WHERE state IN ('committed','rolled-back')",
  );
  return {
    device: readSetting<string>(database, 'device') ?? '',
    model: readSetting<string>(database, 'model') ?? '',
    serial: readSetting<string>(database, 'serial') ?? '',
    generation: current?.number ?? 0,
    components,
    plan: plan ?? null,
    rolledBack: all('SELECT component, version, code FROM quarantine ORDER BY at, component'),
    refused: all('SELECT component, version, code FROM refusal ORDER BY at, component'),
    approvals: all<{ count: number }>('SELECT count(*) AS count FROM approval')[0]!.count,
    verifiersAgreed: installed.length > 0 && installed.every(({ verdict }) => verdict === 'agreed'),
    alerts: all('SELECT code, component, severity, message, raised FROM alert WHERE cleared IS NULL ORDER BY raised'),
    lastPoll: readSetting<{ at: string; outcome: string }>(database, 'lastPoll') ?? null,
  };
}

function capabilitiesOf(
  device: Device,
  component: string,
  declared: readonly string[],
): Record<string, CapabilityState> {
  const denied = deniedCapabilities(device, component);
  const decided = new Map(
    (
      device.database.prepare('SELECT capability, state FROM capability WHERE component = ?').all(component) as {
        capability: string;
        state: CapabilityState;
      }[]
    ).map(({ capability, state }) => [capability, state]),
  );
  const states: Record<string, CapabilityState> = {};
  for (const id of declared) states[id] = denied.has(id) ? 'blocked' : (decided.get(id) ?? 'declined');
  return states;
}
