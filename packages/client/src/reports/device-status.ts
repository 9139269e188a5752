/**
 * Reports what a device says about itself, from its database. Changes nothing and needs no lock. What runs is read from the
 * current generation's rows, never from what was intended.
 */
import { countApprovals } from '../consent/approvals.ts';
import { openAlerts } from '../device/alerts.ts';
import type { Device } from '../device/device.ts';
import { readSetting } from '../device/settings.ts';
import { listDecisions } from '../generations/capability-decisions.ts';
import { currentGeneration, type InstalledComponent } from '../generations/generations.ts';
import { deniedCapabilities } from '../generations/grants.ts';
import { listQuarantined } from '../generations/install-history.ts';
import { openPlan, verifiersAlwaysAgreed } from '../generations/plans.ts';
import { listRefusals } from '../trust/refusals.ts';

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

export function readStatus(device: Device): DeviceStatus {
  const { database } = device;
  const current = currentGeneration(device);
  const open = openPlan(device);
  return {
    device: readSetting(database, 'device') ?? '',
    model: readSetting(database, 'model') ?? '',
    serial: readSetting(database, 'serial') ?? '',
    generation: current?.number ?? 0,
    components: Object.fromEntries(
      (current?.components ?? []).map((installed) => {
        const { component, version, release } = installed;
        return [component, { version, release, capabilities: capabilitiesOf(device, installed) }];
      }),
    ),
    plan: open && { digest: open.digest, state: open.state, reason: open.reason, until: open.until },
    rolledBack: listQuarantined(device).map(({ component, version, code }) => ({ component, version, code })),
    refused: listRefusals(device),
    approvals: countApprovals(device),
    verifiersAgreed: verifiersAlwaysAgreed(device),
    alerts: openAlerts(device)
      .reverse()
      .map(({ code, component, severity, message, raised }) => ({ code, component, severity, message, raised })),
    lastPoll: readSetting(database, 'lastPoll') ?? null,
  };
}

function capabilitiesOf(device: Device, installed: InstalledComponent): Record<string, CapabilityState> {
  const { component, manifest } = installed;
  const denied = deniedCapabilities(device, installed);
  const decided = new Map(listDecisions(device, [component]).map(({ capability, state }) => [capability, state]));
  return Object.fromEntries(
    manifest.capabilities.map(({ id }) => [id, denied.has(id) ? 'blocked' : (decided.get(id) ?? 'declined')]),
  );
}
