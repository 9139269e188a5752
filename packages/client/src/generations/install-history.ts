/**
 * Keeps what happened to releases on this device. First, the highest version of each component that was ever committed: nothing
 * below it is offered unless the channel asks for the downgrade. Second, the releases that failed here: they are not offered again.
 */
import semver from 'semver';
import { timeText } from '@countersign/protocol';
import type { Device } from '../device/device.ts';

/** The highest committed version by component. */
export const highestCommitted = (device: Device): Readonly<Record<string, string>> =>
  Object.fromEntries(
    (
      device.database.prepare('SELECT component, version FROM highest_committed').all() as {
        component: string;
        version: string;
      }[]
    ).map(({ component, version }) => [component, version]),
  );

/** Inside the transaction that commits them. A lower version changes nothing. */
export function raiseHighest(
  device: Device,
  components: readonly { readonly component: string; readonly version: string }[],
): void {
  const before = highestCommitted(device);
  for (const { component, version } of components)
    if (!Object.hasOwn(before, component) || semver.gt(version, before[component]!))
      device.database.prepare('INSERT OR REPLACE INTO highest_committed VALUES (?, ?)').run(component, version);
}

export interface FailedRelease {
  readonly release: string;
  readonly component: string;
  readonly version: string;
  readonly code: string;
}

/** Releases that failed here, oldest first. */
export const listQuarantined = (device: Device): FailedRelease[] =>
  (
    device.database
      .prepare('SELECT release, component, version, code FROM quarantine ORDER BY at, component')
      .all() as unknown as FailedRelease[]
  ).map((row) => ({ ...row }));

/** Bars a release that failed here from being offered again, inside the transaction that ends the change. */
export function quarantine(device: Device, { release, component, version, code }: FailedRelease): void {
  device.database
    .prepare('INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?)')
    .run(release, component, version, code, timeText(device.clock()));
}
