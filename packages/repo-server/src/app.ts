/** The server's HTTP interface: serving, publishing and health, with one place where errors become answers. */
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { codeOf } from '@countersign/protocol';
import { describeError } from '@countersign/protocol/terminal';
import { serverErrorTable } from './errors.ts';
import type { Publications } from './publication.ts';
import type { PublisherList } from './publishers.ts';
import type { Readiness } from './readiness.ts';
import type { Repository } from './repository.ts';
import { addPublications } from './routes/publications.ts';
import { addServing } from './routes/serving.ts';

export interface AppOptions {
  readonly repository: Repository;
  readonly publications: Publications;
  readonly publishers: PublisherList;
  readonly readiness: () => Promise<Readiness>;
  readonly logger: FastifyBaseLogger | false;
  readonly limits?: Partial<Limits> | undefined;
}

/** How long, in milliseconds, the server waits for others. */
export interface Limits {
  /** For a request's headers. */
  readonly headers: number;
  /** For a byte to move on a connection, in either direction. */
  readonly silence: number;
  /** For the rest of a body that was answered before its end, so that the answer still arrives. */
  readonly unwantedBody: number;
  /** After being told to stop: for running requests to end. */
  readonly closing: number;
}
export const usualLimits: Limits = { headers: 10_000, silence: 30_000, unwantedBody: 2000, closing: 60_000 };

const statusOf: Record<string, number> = {
  NOT_FOUND: 404,
  STORE_NAME: 404,
  PUBLICATION_UNKNOWN: 404,
  PUBLISHER_UNKNOWN: 401,
  PUBLICATION_CONFLICT: 409,
  PUBLICATION_VERSION_TAKEN: 409,
  PUBLICATION_BLOB: 409,
  STORE_CONFLICT: 409,
  PUBLICATION_INCOMPLETE: 409,
  PUBLICATION_REFUSED: 422,
  SERVER_ONLINE_KEY: 422,
  REQUEST_TOO_LARGE: 413,
  REQUEST_RANGE: 416,
  DISK_FULL: 507,
  FILE_READ: 500,
  FILE_WRITE: 500,
  VERIFIER_FAILED: 500,
  INTERNAL: 500,
};
const fastifyCodes: Record<string, keyof typeof serverErrorTable> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'REQUEST_TOO_LARGE',
  FST_ERR_CTP_INVALID_JSON_BODY: 'PUBLICATION_REQUEST',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'PUBLICATION_REQUEST',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'PUBLICATION_REQUEST',
};

export function buildApp(options: AppOptions): FastifyInstance {
  const { repository, publications, publishers, readiness, logger } = options;
  const limits = { ...usualLimits, ...options.limits };
  const app = fastify({
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 1 << 20,
    // An upload may take long, but never without a byte moving.
    requestTimeout: 0,
    connectionTimeout: limits.silence,
    keepAliveTimeout: 120_000,
    routerOptions: { maxParamLength: 700 },
    http: { headersTimeout: limits.headers, connectionsCheckingInterval: limits.headers / 5 },
    // An address that is invalid or too long: the answer does not repeat it.
    frameworkErrors: (_error, _request, reply) => void (reply as FastifyReply).code(404).send(noSuchAddress),
  }) as unknown as FastifyInstance;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const answered = new Counter({
    name: 'countersign_requests_total',
    help: 'Requests answered, by status',
    labelNames: ['status'],
    registers: [registry],
  });
  const health = new Gauge({ name: 'countersign_ready', help: '0 green, 1 amber, 2 red', registers: [registry] });
  app.addHook('onResponse', ({ raw }, reply, done) => {
    answered.inc({ status: String(reply.raw.statusCode) });
    // Closing at once could lose the answer on its way; reading on without end would help a client that never stops.
    if (!raw.complete) {
      raw.resume();
      setTimeout(() => void (raw.complete || raw.destroy()), limits.unwantedBody).unref();
    }
    done();
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(noSuchAddress));
  app.setErrorHandler((error, request, reply) => {
    const code = fastifyCodes[codeOf(error) ?? ''];
    const described = code
      ? { code, message: 'the request is not acceptable', hint: serverErrorTable[code].hint }
      : describeError(error);
    const status = statusOf[described.code] ?? 400;
    // See onResponse.
    void reply.removeHeader('connection');
    if (status < 500) {
      const { context } = error as { context?: object };
      return reply.code(status).send({ error: { ...described, ...(context ? { context } : {}) } });
    }
    // Internal errors go to the log, not to the client.
    request.log.error({ err: error }, 'request failed');
    return reply.code(status).send({ error: { ...described, message: 'the server failed' } });
  });
  addServing(app, repository.metadata, repository.store);
  addPublications(app, publications, publishers);
  app.get('/healthz', () => ({ alive: true }));
  app.get('/readyz', async (_request, reply) => {
    const ready = await readiness();
    return reply.code(ready.colour === 'red' ? 503 : 200).send(ready);
  });
  app.get('/metrics', async (_request, reply) => {
    health.set({ green: 0, amber: 1, red: 2 }[(await readiness()).colour]);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  return app;
}

const noSuchAddress = {
  error: { code: 'NOT_FOUND', message: 'there is no such address', hint: serverErrorTable.NOT_FOUND.hint },
};
