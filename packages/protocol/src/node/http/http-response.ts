/**
 * One HTTP GET within limits: idle time-outs, a time limit for the whole, no redirects, coded errors. The connection of an answer
 * that is not read to its end is closed. Must never follow a redirect or send anything but the given headers.
 */
import type { Agent, Dispatcher } from 'undici';
import { isCoded, codeOf } from '../../error.ts';
import { escapeText } from '../../text.ts';
import { nodeError } from '../node-errors.ts';
import { undici } from './undici.ts';

export interface HttpLimits {
  /** Carries proxies, hosts and certificates; by default a connection of our own with TLS 1.2 or newer. */
  readonly dispatcher?: Dispatcher | undefined;
  /** Longest silence, before the answer and within it. */
  readonly idleMilliseconds?: number | undefined;
  /** Longest time for the whole, even if bytes keep arriving. */
  readonly totalMilliseconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Whether another request may follow on the connection before this answer is there; for small answers only. */
  readonly pipelining?: 'allowed' | undefined;
}

export type HttpResponse = Dispatcher.ResponseData;

let ownDispatcher: Agent | undefined;

/** One kept-alive connection per host, on which two requests may be open at once: a poll costs one round trip. */
export function metadataDispatcher(options: Agent.Options = {}): Agent {
  return new (undici().Agent)({
    connections: 1,
    pipelining: 2,
    keepAliveTimeout: 10_000,
    maxHeaderSize: 16_384,
    ...options,
    connect: {
      minVersion: 'TLSv1.2',
      timeout: 10_000,
      ...(typeof options.connect === 'object' ? options.connect : {}),
    },
  });
}

/**
 * Sends the request and gives the answer to `use`; the time limit covers both.
 * @throws SOURCE_UNREACHABLE SOURCE_TIMEOUT SOURCE_REDIRECT SOURCE_BROKEN SOURCE_STOPPED, and what `use` throws
 */
export async function withResponse<T>(
  url: URL,
  headers: Record<string, string>,
  limits: HttpLimits,
  use: (response: HttpResponse) => Promise<T>,
): Promise<T> {
  const { idleMilliseconds: idle = 15_000, totalMilliseconds: total = 60_000, signal } = limits;
  const budget = new AbortController();
  const timer = setTimeout(() => budget.abort(), total);
  const stop = (): void => budget.abort();
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  let response: HttpResponse | undefined;
  try {
    response = await undici().request(url, {
      dispatcher: limits.dispatcher ?? (ownDispatcher ??= metadataDispatcher()),
      headers,
      headersTimeout: idle,
      bodyTimeout: idle,
      blocking: limits.pipelining !== 'allowed',
      signal: budget.signal,
    });
    const { statusCode } = response;
    if (statusCode >= 300 && statusCode < 400 && statusCode !== 304)
      throw nodeError('SOURCE_REDIRECT', `${describe(url)} answered with a redirect (${statusCode})`);
    return await use(response);
  } catch (cause) {
    if (isCoded(cause)) throw cause;
    if (signal?.aborted) throw nodeError('SOURCE_STOPPED', `the transfer of ${describe(url)} was stopped`, { cause });
    throw transportError(url, cause, budget.signal.aborted ? total : undefined, response !== undefined);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    // Destroying a body that was read to its end does nothing; any other takes its connection with it.
    response?.body.on('error', () => {}).destroy();
  }
}

function transportError(url: URL, cause: unknown, total: number | undefined, answered: boolean): Error {
  const code = codeOf(cause) ?? '';
  if (total !== undefined)
    return nodeError('SOURCE_TIMEOUT', `${describe(url)} took longer than ${total} ms`, { cause });
  if (/^(UND_ERR_(HEADERS|BODY|CONNECT)_TIMEOUT|ETIMEDOUT)$/.test(code))
    return nodeError('SOURCE_TIMEOUT', `${describe(url)} stopped answering`, { cause });
  const words = escapeText(cause instanceof Error && cause.message !== '' ? cause.message : code, 200);
  return answered
    ? nodeError('SOURCE_BROKEN', `${describe(url)} ended early: ${words}`, { cause })
    : nodeError('SOURCE_UNREACHABLE', `${describe(url)} was not reached: ${words}`, { cause });
}

/** An address for a message: no user information, no query, nothing unsafe. */
export const describe = (url: URL): string => escapeText(`${url.origin}${url.pathname}`, 300);
