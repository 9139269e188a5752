/**
 * Where metadata bytes come from. A source distinguishes "not there" from "failed": it answers `absent` only for a file that is
 * certainly absent, since that ends the root walk (§5.3.3). It never returns more bytes than were allowed, and does not trust
 * what it returns.
 */
import { join } from 'node:path';
import { escapeText } from '../../text.ts';
import { readIfPresent } from '../files/durable-file.ts';
import { describe, withResponse, type HttpLimits, type HttpResponse } from '../http/http-response.ts';
import { nodeError } from '../node-errors.ts';

export type Fetched =
  | { readonly kind: 'found'; readonly bytes: Uint8Array; readonly etag?: string | undefined }
  | { readonly kind: 'absent' }
  /** Only in answer to an ETag. */
  | { readonly kind: 'unchanged' };

export interface FetchOptions {
  /** If given, asks whether the file is still the one that came with this ETag. */
  readonly etag?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface MetadataSource {
  /**
   * `name` as the repository names the file: `2.root.json`, `timestamp.json`, `5.snapshot.json`; see `metadataFileName`.
   * @throws SOURCE_* and FILE_READ for everything but the three outcomes
   */
  fetch(name: string, maximumBytes: number, options?: FetchOptions): Promise<Fetched>;
}

/** A folder of metadata. */
export function directorySource(directory: string): MetadataSource {
  return {
    fetch: (name, maximumBytes) => {
      checkName(name);
      const bytes = readIfPresent(join(directory, name), maximumBytes);
      return Promise.resolve(bytes === undefined ? { kind: 'absent' } : { kind: 'found', bytes });
    },
  };
}

export interface HttpSourceOptions extends HttpLimits {
  readonly metadataUrl: string | URL;
}

/** A repository over HTTP. */
export function httpSource(options: HttpSourceOptions): MetadataSource {
  const base = baseUrl(options.metadataUrl);
  return {
    fetch: (name, maximumBytes, { etag, signal } = {}) => {
      checkName(name);
      const url = new URL(name, base);
      const headers: Record<string, string> = etag === undefined ? {} : { 'if-none-match': etag };
      const limits = { ...options, signal: signal ?? options.signal, pipelining: 'allowed' } as const;
      return withResponse(url, headers, limits, (response) => readResponse(response, url, maximumBytes, etag));
    },
  };
}

/** The address with a slash at its end, so that names are appended and do not replace its last part. */
export function baseUrl(text: string | URL): URL {
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw nodeError('SOURCE_UNREACHABLE', `${escapeText(String(text), 300)} is no HTTP address`);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

async function readResponse(
  response: HttpResponse,
  url: URL,
  maximumBytes: number,
  etag: string | undefined,
): Promise<Fetched> {
  const { statusCode, headers, body } = response;
  if (statusCode === 404 || (statusCode === 304 && etag !== undefined)) {
    // The short body of such an answer is read, so that its connection can be used again.
    await body.dump({ limit: 16_384 });
    return statusCode === 404 ? { kind: 'absent' } : { kind: 'unchanged' };
  }
  if (statusCode !== 200) throw nodeError('SOURCE_STATUS', `${describe(url)} answered with status ${statusCode}`);
  const tooLarge = () => nodeError('SOURCE_TOO_LARGE', `${describe(url)} has over ${maximumBytes} bytes`);
  if (Number(headers['content-length'] ?? 0) > maximumBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maximumBytes) throw tooLarge();
    chunks.push(chunk);
  }
  const tag = headers.etag;
  const usable = typeof tag === 'string' && /^(W\/)?"[\u0021\u0023-\u007e]{1,200}"$/.test(tag);
  return { kind: 'found', bytes: Buffer.concat(chunks, length), ...(usable ? { etag: tag } : {}) };
}

/** Checks that the name is that of a file directly in the folder. */
function checkName(name: string): void {
  if (!/^[A-Za-z0-9._~!'()*%-]+\.json$/.test(name) || name.startsWith('.'))
    throw nodeError('SOURCE_STATUS', `${escapeText(name, 100)} is no name of a metadata file`);
}
