/**
 * Decides where the device may connect. Invariants: https with TLS 1.2 or newer, certificates checked, only to hosts that are on
 * the list set at init and that the vendor's policy gives to this region; never follows a redirect; plain http reaches only this
 * machine's own loopback, and says so. The check is in the dispatcher, so that no caller can bypass it.
 * Proxies come from the environment (HTTPS_PROXY, NO_PROXY); loopback never goes through one.
 */
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import type { Dispatcher, EnvHttpProxyAgent } from 'undici';
import { undici } from '@countersign/protocol/node';
import type { Device } from '../device/device.ts';
import { readSetting, type RequestLimits } from '../device/settings.ts';
import { trustError } from './trust-errors.ts';

/** One server of the configured list: the addresses of its two public folders, both ending in a slash. */
export interface Server {
  readonly url: string;
  readonly metadataUrl: string;
  readonly targetsUrl: string;
}

const loopback = new Set(['127.0.0.1', '[::1]', 'localhost']);
const isLoopback = (url: URL): boolean => loopback.has(url.hostname);

/** The servers that this device was set up with, first choice first. @throws TRUST_SERVER */
export function configuredServers(device: Device): Server[] {
  const urls = readSetting(device.database, 'servers') ?? [];
  if (urls.length === 0) throw trustError('TRUST_SERVER', 'this device has no server');
  return urls.map((text) => {
    const url = checkServer(text);
    return {
      url: url.href,
      metadataUrl: new URL('metadata/', url).href,
      targetsUrl: new URL('targets/', url).href,
    };
  });
}

/** Reads a configured server address. @throws TRUST_SERVER */
export function checkServer(text: string): URL {
  const url = URL.parse(text.endsWith('/') ? text : `${text}/`);
  if (url === null) throw trustError('TRUST_SERVER', 'a server address is not a URL');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url)))
    throw trustError('TRUST_SERVER', `${url.protocol}//${url.host} is neither https nor http on loopback`);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw trustError('TRUST_SERVER', `the address of ${url.host} carries a user, query or fragment`);
  return url;
}

/**
 * The hosts this device may talk to: those set at init that the vendor's policy gives to its region. A region that the policy
 * does not know has none. Before any policy was read, only the list of init counts.
 */
export function allowedHosts(
  device: Device,
  regions: Readonly<Record<string, { hosts: string[] }>> | null,
): Set<string> {
  const shipped = readSetting(device.database, 'hosts') ?? [];
  if (regions === null) return new Set(shipped);
  const region = readSetting(device.database, 'region') ?? '';
  const given = new Set(Object.hasOwn(regions, region) ? regions[region]!.hosts : []);
  return new Set(shipped.filter((host) => given.has(host)));
}

export interface Connection {
  readonly dispatcher: Dispatcher;
  /** The setting `httpLimits` raises them for slow connections. */
  readonly limits: RequestLimits;
  /** Replaces the list, after a policy was accepted. */
  allow(hosts: ReadonlySet<string>): void;
  /** The server's clock at its last answer, and ours at that time: only for messages, never to decide. */
  readonly serverTime: { readonly server: Date; readonly measured: number } | null;
  close(): Promise<void>;
}

/**
 * Opens the only way out of the device. One connection per host, kept alive between polls, on which two requests may be open at
 * once: a poll costs one round trip.
 */
export function openConnection(device: Device, hosts: ReadonlySet<string>): Connection {
  let allowed = hosts;
  const agent = openAgent(device);
  const warned = new Set<string>();
  const check = (url: URL): void => {
    checkServer(url.origin);
    if (!allowed.has(url.hostname) && !allowed.has(url.host))
      throw trustError('TRUST_HOST', `${url.host} is not on this device's list of hosts`, {
        context: { host: url.host },
      });
    if (url.protocol !== 'http:' || warned.has(url.host)) return;
    warned.add(url.host);
    device.log({ level: 'warn', event: 'plain-http', host: url.host, note: 'not encrypted: allowed on loopback only' });
  };
  const connection = {
    serverTime: null as Connection['serverTime'],
    limits: readSetting(device.database, 'httpLimits') ?? {},
    dispatcher: agent.compose((dispatch) => (request, handler) => {
      check(new URL(String(request.origin)));
      return dispatch(
        request,
        readingDate(handler, (server) => {
          connection.serverTime = { server, measured: device.systemClock().getTime() };
        }),
      );
    }),
    allow: (next: ReadonlySet<string>) => void (allowed = next),
    close: () => agent.destroy(),
  };
  return connection;
}

function openAgent(device: Device): EnvHttpProxyAgent {
  const secure = configuredServers(device).some(({ url }) => url.startsWith('https:'));
  const tls = {
    minVersion: 'TLSv1.2' as const,
    rejectUnauthorized: true,
    timeout: 15_000,
    ...(secure ? { secureContext: secureContext(device) } : {}),
  };
  return new (undici().EnvHttpProxyAgent)({
    noProxy: [...loopback, process.env.no_proxy ?? process.env.NO_PROXY ?? ''].filter(Boolean).join(','),
    connect: tls,
    requestTls: tls,
    connections: 1,
    pipelining: 2,
    keepAliveTimeout: 60_000,
    maxHeaderSize: 16_384,
  });
}

/**
 * The authorities whose certificates a server may show: Node's own list, on Windows also the system's (which has the authority of
 * a laboratory's proxy), and those that an administrator added as the setting `certificateAuthorities` (PEM). What is installed
 * never depends on them. Read once: hundreds of certificates take a while.
 */
function secureContext(device: Device): SecureContext {
  const own = readSetting(device.database, 'certificateAuthorities') ?? [];
  const system = process.platform === 'win32' ? getCACertificates('system') : [];
  const ca = system.length + own.length > 0 ? { ca: [...getCACertificates('default'), ...system, ...own] } : {};
  return createSecureContext({ minVersion: 'TLSv1.2', ...ca });
}

/** Reads the Date header before the request's own handler gets the answer. */
function readingDate(handler: Dispatcher.DispatchHandler, tell: (date: Date) => void): Dispatcher.DispatchHandler {
  const start = handler.onResponseStart?.bind(handler);
  handler.onResponseStart = (controller, statusCode, headers, statusMessage) => {
    const date = new Date(typeof headers.date === 'string' ? headers.date : '');
    if (!Number.isNaN(date.getTime())) tell(date);
    start?.(controller, statusCode, headers, statusMessage);
  };
  return handler;
}
