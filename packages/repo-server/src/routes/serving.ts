/**
 * Serves what devices fetch: metadata from memory and targets as streams. The headers hold only what is needed, since most
 * traffic is polls in which nothing changed. Never serves anything outside `metadata/` and `targets/`.
 */
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { codeOf } from '@countersign/protocol';
import { serverError } from '../errors.ts';
import type { PublishedMetadata } from '../published-metadata.ts';
import { isStoreName, type ByteRange, type RepositoryStore } from '../repository-store.ts';

const immutable = 'public, max-age=31536000, immutable';

export function addServing(app: FastifyInstance, metadata: PublishedMetadata, store: RepositoryStore): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/metadata/:name',
    handler: (request: FastifyRequest<{ Params: { name: string } }>, reply) => sendMetadata(request, reply, metadata),
  });
  app.route({
    method: ['GET', 'HEAD'],
    url: '/targets/*',
    handler: (request: FastifyRequest<{ Params: { '*': string } }>, reply) => sendTarget(request, reply, store),
  });
}

function sendMetadata(
  request: FastifyRequest<{ Params: { name: string } }>,
  reply: FastifyReply,
  metadata: PublishedMetadata,
): void {
  const file = metadata.get(request.params.name);
  reply.hijack();
  const { raw } = reply;
  // An explicit header keeps Node from adding Keep-Alive beside it.
  const connection = raw.shouldKeepAlive ? 'keep-alive' : 'close';
  if (!file) {
    raw.writeHead(404, { connection, 'content-length': 0 }).end();
    return;
  }
  const caching = {
    connection,
    etag: file.etag,
    'cache-control': file.immutable ? immutable : 'no-cache',
  };
  if (isKnown(request.headers['if-none-match'], file.etag)) {
    raw.writeHead(304, { connection, etag: file.etag }).end();
    return;
  }
  raw.writeHead(200, { ...caching, 'content-type': 'application/json', 'content-length': file.bytes.length });
  raw.end(request.method === 'HEAD' ? undefined : file.bytes);
}

async function sendTarget(
  request: FastifyRequest<{ Params: { '*': string } }>,
  reply: FastifyReply,
  store: RepositoryStore,
): Promise<void> {
  const name = `targets/${request.params['*']}`;
  const file = isStoreName(name) ? await store.head(name) : null;
  if (!file) throw serverError('NOT_FOUND', 'there is no such file');
  // A file's name holds its digest, so its content never changes.
  const headers = {
    'content-type': 'application/octet-stream',
    'cache-control': immutable,
    'accept-ranges': 'bytes',
    etag: file.etag,
  };
  if (isKnown(request.headers['if-none-match'], file.etag)) return void reply.code(304).headers(headers).send();
  const ifRange = request.headers['if-range'];
  const wanted = ifRange === undefined || ifRange === file.etag ? readRange(request.headers.range, file.length) : null;
  if (wanted === 'unsatisfiable') {
    void reply.header('content-range', `bytes */${file.length}`);
    throw serverError('REQUEST_RANGE', `the file has ${file.length} bytes`);
  }
  const length = wanted ? wanted.end - wanted.start + 1 : file.length;
  const range = wanted ? { 'content-range': `bytes ${wanted.start}-${wanted.end}/${file.length}` } : {};
  reply.hijack();
  reply.raw.writeHead(wanted ? 206 : 200, { ...headers, ...range, 'content-length': length });
  if (request.method === 'HEAD' || length === 0) return void reply.raw.end();
  try {
    await pipeline(await store.open(name, wanted ?? undefined), reply.raw);
  } catch (error) {
    // The client went away, or the disk failed in the middle: the broken length tells the client.
    if (codeOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE')
      request.log.warn({ code: codeOf(error), target: name }, 'target broke off');
    reply.raw.destroy();
  }
}

/** Whether the client has it (RFC 9110 §13.1.2). A proxy that compresses makes an ETag weak; that does not matter here. */
const isKnown = (header: string | undefined, etag: string): boolean =>
  header === etag || (header?.split(',').some((one) => [etag, '*'].includes(one.trim().replace(/^W\//, ''))) ?? false);

/** One range of bytes (RFC 9110 §14); null for anything else, which is then answered with the whole file. */
function readRange(header: string | undefined, length: number): ByteRange | null | 'unsatisfiable' {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (!found || (found[1] === '' && found[2] === '')) return null;
  if (found[1] === '') {
    const suffix = Math.min(Number(found[2]), length);
    return suffix === 0 ? 'unsatisfiable' : { start: length - suffix, end: length - 1 };
  }
  const start = Number(found[1]);
  const end = found[2] === '' ? length - 1 : Math.min(Number(found[2]), length - 1);
  if (found[2] !== '' && Number(found[2]) < start) return null;
  return start >= length ? 'unsatisfiable' : { start, end };
}
