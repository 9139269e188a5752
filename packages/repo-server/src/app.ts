/** The server's HTTP face: serving, publishing and health, with one place where errors become answers. */
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { codeOf } from '@countersign/protocol';
import { describeError } from '@countersign/protocol/node';
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
}

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
  SCAN_FAILED: 422,
  REQUEST_TOO_LARGE: 413,
  REQUEST_RANGE: 416,
  DISK_FULL: 507,
};
const fastifyCodes: Record<string, keyof typeof serverErrorTable> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'REQUEST_TOO_LARGE',
  FST_ERR_CTP_INVALID_JSON_BODY: 'PUBLICATION_REQUEST',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'PUBLICATION_REQUEST',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'PUBLICATION_REQUEST',
};

export function buildApp({ repository, publications, publishers, readiness, logger }: AppOptions): FastifyInstance {
  const app = fastify({
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 1 << 20,
    // Headers within 10 s; a whole request may take long where it uploads, but never without a byte for half a minute.
    requestTimeout: 0,
    connectionTimeout: 30_000,
    keepAliveTimeout: 120_000,
    routerOptions: { maxParamLength: 700 },
    http: { headersTimeout: 10_000 },
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
  app.addHook('onResponse', (_request, reply, done) => {
    answered.inc({ status: String(reply.raw.statusCode) });
    done();
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(answerOf('NOT_FOUND', 'there is no such address')));
  app.setErrorHandler((error, request, reply) => {
    const code = fastifyCodes[codeOf(error) ?? ''];
    const described = code
      ? { code, message: 'the request is not acceptable', hint: serverErrorTable[code].hint }
      : describeError(error);
    const status = statusOf[described.code] ?? (described.code === 'INTERNAL' ? 500 : 400);
    if (status >= 500) request.log.error({ err: error }, 'request failed');
    // What went wrong inside is for the log, not for whoever asked.
    const shown = described.code === 'INTERNAL' ? { ...described, message: 'the server failed' } : described;
    const context = (error as { context?: object }).context;
    return reply.code(status).send({ error: { ...shown, ...(context ? { context } : {}) } });
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

const answerOf = (code: keyof typeof serverErrorTable, message: string) => ({
  error: { code, message, hint: serverErrorTable[code].hint },
});
