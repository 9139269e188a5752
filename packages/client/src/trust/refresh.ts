/**
 * Refreshes trust: metadata, then the documents that it lists (authority chains, revocations, channel), from the first server
 * whose answers are accepted. Invariants: what was accepted is kept role by role and line by line; a refusal leaves what is
 * trusted unchanged and raises an alert; a poll in which nothing changed parses nothing. Never decides about installing.
 */
import {
  messageOf,
  authorityPath,
  channelFormat,
  channelPath,
  checkChannel,
  codeOf,
  CountersignError,
  maximumChainBytes,
  revocationsFormat,
  revocationsPath,
  timeText,
  type AuthorityKind,
  type Channel,
  type CodesignAuthority,
  type DevicesAuthority,
  type Format,
  type Revocations,
} from '@countersign/protocol';
import { httpSource, refresh, type MetadataSession, type MetadataStore } from '@countersign/protocol/node';
import { clearAlerts, raiseError } from '../device/alerts.ts';
import { requireLock, type Device } from '../device/device.ts';
import { readSetting } from '../device/settings.ts';
import { acceptChain, lastAuthority } from './authorities.ts';
import { keepDocument, keptDocument, readDocument, type OpenRepository } from './documents.ts';
import { allowedHosts, configuredServers, openConnection, type Connection, type Server } from './servers.ts';
import { trustError } from './trust-errors.ts';
import { deviceStore, noteSignedTime, readShippedPackage, warnOfClockBehind } from './trust-on-device.ts';

/** All signed documents on which decisions are based. */
export interface TrustDocuments {
  readonly codesign: CodesignAuthority;
  readonly devices: DevicesAuthority;
  readonly revocations: Revocations;
  readonly channel: Channel;
}

export interface TrustView extends TrustDocuments, OpenRepository {
  /** Whether anything is new since the last poll of this process. */
  readonly changed: boolean;
  /** The one time by which everything in this poll was judged. */
  readonly time: Date;
}

interface Polling {
  readonly connection: Connection;
  /** The server that answered last. */
  preferred: string | null;
  view: TrustView | null;
  /** The last session; null after a failure, because the store may then be newer than the session. */
  session: MetadataSession | null;
  /** Opened at the first poll and after a failure. */
  start: { readonly store: MetadataStore; readonly shippedRoot: Uint8Array } | null;
  /** Whether the last poll was refused, so that alerts may be open. */
  refused: boolean;
}

const pollings = new WeakMap<Device['database'], Polling>();

function pollingOf(device: Device): Polling {
  const known = pollings.get(device.database);
  if (known) return known;
  const hosts = allowedHosts(device, lastAuthority(device, 'devices').regions);
  const connection = openConnection(device, hosts);
  const polling: Polling = { connection, preferred: null, view: null, session: null, start: null, refused: true };
  pollings.set(device.database, polling);
  return polling;
}

/** Ends the device's connections. Idle ones do not keep the process alive. */
export async function closeConnections(device: Device): Promise<void> {
  const polling = pollings.get(device.database);
  pollings.delete(device.database);
  await polling?.connection.close();
}

/**
 * Brings trust up to date. The caller holds the device lock. When every server fails, it throws the gravest failure: a refusal
 * before an unreachable server. What was trusted before stays.
 * @throws TUF_* AUTHORITY_* CHANNEL_RULES FORMAT_* TRUST_* CLOCK_AHEAD (refused, alert raised), SOURCE_* (not reached)
 */
export async function refreshTrust(device: Device): Promise<TrustView> {
  requireLock(device);
  const polling = pollingOf(device);
  warnOfClockBehind(device);
  const failures: unknown[] = [];
  for (const server of inOrder(configuredServers(device), polling.preferred)) {
    try {
      const view = await refreshFrom(device, polling, server);
      Object.assign(polling, { view, session: view.session, preferred: server.url });
      if (polling.refused) clearRefusals(device);
      polling.refused = false;
      return view;
    } catch (error) {
      polling.session = polling.start = null;
      const failure = explain(device, polling, error);
      failures.push(failure);
      const message = messageOf(failure);
      device.log({ level: 'warn', event: 'poll-failed', server: server.url, code: codeOf(failure) ?? '', message });
    }
  }
  const refusal = failures.find((failure) => !isUnreached(failure));
  if (refusal === undefined) throw failures[0];
  polling.refused = true;
  raiseError(device, refusal, 'critical');
  throw refusal;
}

/** Whether the failure means only that no server answered, not that an answer was wrong. */
export const isUnreached = (error: unknown): boolean =>
  ['SOURCE_UNREACHABLE', 'SOURCE_TIMEOUT', 'SOURCE_BROKEN', 'SOURCE_STATUS', 'SOURCE_STOPPED'].includes(
    codeOf(error) ?? '',
  );

const inOrder = (servers: readonly Server[], preferred: string | null): Server[] =>
  [...servers].sort((a, b) => Number(b.url === preferred) - Number(a.url === preferred));

async function refreshFrom(device: Device, polling: Polling, server: Server): Promise<TrustView> {
  const { connection, view: before, session: previous } = polling;
  const time = device.clock();
  polling.start ??= { store: deviceStore(device), shippedRoot: readShippedPackage(device).root };
  const session = await refresh({
    ...polling.start,
    source: httpSource({ ...connection.limits, metadataUrl: server.metadataUrl, dispatcher: connection.dispatcher }),
    now: time,
    profile: 'strict',
    previous: previous ?? undefined,
  });
  const channel = readSetting(device.database, 'channel') ?? 'stable';
  if (before && previous && !session.changed && session.expired.length === 0 && before.channel.channel === channel)
    return { ...before, session, server, time, changed: false };
  noteSignedTime(device, session.state.timestamp!.signed);
  return { ...(await readDocuments(device, { session, server, connection }, channel)), time, changed: true };
}

async function readDocuments(
  device: Device,
  repository: OpenRepository,
  name: string,
): Promise<TrustDocuments & OpenRepository> {
  const devices = await readAuthority(device, repository, 'devices');
  repository.connection.allow(allowedHosts(device, devices.regions));
  const codesign = await readAuthority(device, repository, 'codesign');
  const revocations = await readFormat(device, repository, revocationsPath, revocationsFormat);
  const channel = await readFormat(device, repository, channelPath(name), channelFormat, (body) =>
    checkChannel(body, name),
  );
  return { ...repository, codesign, devices, revocations, channel };
}

async function readAuthority<K extends AuthorityKind>(device: Device, repository: OpenRepository, kind: K) {
  const path = authorityPath(kind);
  const { bytes } = await readDocument(device, repository, path, maximumChainBytes);
  const { body } = acceptChain(device, kind, bytes);
  keepDocument(device, path, bytes);
  return body;
}

async function readFormat<T>(
  device: Device,
  repository: OpenRepository,
  path: string,
  format: Format<T>,
  check: (body: T) => void = () => {},
): Promise<T> {
  const { bytes } = await readDocument(device, repository, path, format.maximumBytes);
  const body = format.parse(bytes, path);
  check(body);
  keepDocument(device, path, bytes);
  return body;
}

/**
 * The documents as they were last accepted, for a device that reaches no server. Null before the first poll. Their roles may have
 * expired since, and they need not be the newest.
 */
export function lastDocuments(device: Device): TrustDocuments | null {
  const name = readSetting(device.database, 'channel') ?? 'stable';
  const read = <T>(path: string, format: Format<T>): T | null => {
    const kept = keptDocument(device, path);
    return kept === null ? null : format.parse(kept.bytes, path);
  };
  const revocations = read(revocationsPath, revocationsFormat);
  const channel = read(channelPath(name), channelFormat);
  if (revocations === null || channel === null) return null;
  return {
    codesign: lastAuthority(device, 'codesign'),
    devices: lastAuthority(device, 'devices'),
    revocations,
    channel,
  };
}

const dayMilliseconds = 24 * 3600_000;

/** Explains metadata that looks expired only because this PC's clock runs ahead, with both times. */
function explain(device: Device, { connection }: Polling, error: unknown): unknown {
  const heard = connection.serverTime;
  if (codeOf(error) !== 'TUF_EXPIRED' || heard === null || !(error instanceof CountersignError)) return error;
  if (heard.measured - heard.server.getTime() <= dayMilliseconds) return error;
  const system = timeText(device.systemClock());
  return trustError(
    'CLOCK_AHEAD',
    `${error.message}; the clock of this PC says ${system}, the server's says ${timeText(heard.server)}`,
    { cause: error, context: { system, server: timeText(heard.server) } },
  );
}

/** Clears the alerts that polls raise, after a poll succeeded. */
function clearRefusals(device: Device): void {
  clearAlerts(device, (code) =>
    /^(CLOCK_AHEAD|DEVICE_PACKAGE|(TUF|AUTHORITY|CHANNEL|FORMAT|TRUST|SOURCE)_.*)$/.test(code),
  );
}
