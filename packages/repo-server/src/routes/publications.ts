/** The publication API. Every request carries a publisher's key; what it publishes must also carry the roles' signatures. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { serverError } from '../errors.ts';
import type { Publications } from '../publication.ts';
import type { PublisherList } from '../publishers.ts';

const maximumAnnouncement = 64 << 20;
type ById = FastifyRequest<{ Params: { id: string } }>;
type ByBlob = FastifyRequest<{ Params: { id: string; sha256: string } }>;

export function addPublications(app: FastifyInstance, publications: Publications, publishers: PublisherList): void {
  void app.register((scope, _options, done) => {
    scope.addHook('onRequest', (request, _reply, next) => {
      try {
        publishers.authenticate(request.headers.authorization);
        next();
      } catch (error) {
        next(error as Error);
      }
    });
    scope.post('/v1/publications', { bodyLimit: maximumAnnouncement }, async (request, reply) => {
      const publisher = publishers.authenticate(request.headers.authorization);
      waitForServer(request.raw);
      const { id, missing, done: published } = await publications.begin(publisher, request.body);
      return reply.code(201).send({ id, missing, ...(published ? { published } : {}) });
    });

    scope.head('/v1/publications/:id/blobs/:sha256', async (request: ByBlob, reply) => {
      const { received, length } = publications.received(idOf(request.params.id), idOf(request.params.sha256));
      return reply.headers({ 'upload-offset': received, 'upload-length': length }).send();
    });

    scope.post('/v1/publications/:id/commit', async (request: ById) => {
      waitForServer(request.raw);
      return publications.commit(idOf(request.params.id));
    });
    void scope.register((blobs, _blobOptions, registered) => {
      addUploads(blobs, publications);
      registered();
    });
    done();
  });
}

/** A blob is never parsed or held in memory: its bytes go to the disk as they come. Other content types are not read at all. */
function addUploads(blobs: FastifyInstance, publications: Publications): void {
  blobs.removeAllContentTypeParsers();
  blobs.addContentTypeParser('application/octet-stream', (_request, payload, next) => next(null, payload));
  blobs.put(
    '/v1/publications/:id/blobs/:sha256',
    { bodyLimit: Number.MAX_SAFE_INTEGER },
    async (request: ByBlob, reply) => {
      const { id, sha256 } = request.params;
      request.raw.on('end', () => waitForServer(request.raw));
      const { received, length } = await publications.upload(idOf(id), idOf(sha256), {
        offset: offsetOf(request.headers['upload-offset']),
        length: request.headers['content-length'] === undefined ? null : Number(request.headers['content-length']),
        // Not destroyed when it is refused half-way, because the answer goes over the same connection.
        chunks: (request.body as Readable | undefined)?.iterator({ destroyOnReturn: false }) ?? [],
      });
      return reply
        .code(received === length ? 201 : 202)
        .headers({ 'upload-offset': received, 'upload-length': length })
        .send({ received, length });
    },
  );
}

/** Until the next request on the connection, allows longer silence than usual: judging or hashing large files takes time. */
const waitForServer = ({ socket }: IncomingMessage): void => void socket.setTimeout(0);

function idOf(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw serverError('PUBLICATION_REQUEST', 'the address names no sha256');
  return text;
}

function offsetOf(header: string | string[] | undefined): number {
  if (header === undefined) return 0;
  if (!/^\d{1,15}$/.test(String(header)))
    throw serverError('PUBLICATION_REQUEST', 'upload-offset is no number of bytes');
  return Number(header);
}
