/**
 * Runs a server: it holds the folder's lock, serves, publishes and renews the online roles by itself until it is told to stop.
 */
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import { codeOf, readChain, sha256, trustRoot } from '@countersign/protocol';
import {
  makeFolder,
  readIfPresent,
  readShippedFile,
  removeLeftovers,
  shippedFiles,
  writeDurable,
  type ShippedFile,
  type ShippedPackage,
} from '@countersign/protocol/node';
import { describeError } from '@countersign/protocol/terminal';
import { buildApp, usualLimits, type Limits } from './app.ts';
import { serverError } from './errors.ts';
import { lockInstance } from './instance-lock.ts';
import { readOnlineKeys } from './online-keys.ts';
import { noScanner, Publications } from './publication.ts';
import { PublishedMetadata } from './published-metadata.ts';
import { PublisherList } from './publishers.ts';
import { readReadiness } from './readiness.ts';
import { DirectoryStore } from './repository-stores/directory.ts';
import { Repository } from './repository.ts';
import { Staging } from './staging.ts';
import { stateFolder } from './state-folder.ts';

export interface ServerOptions {
  /** The folder of `metadata/` and `targets/`; the server's own state lies in `server/` below it. */
  readonly directory: string;
  /** The shipped package; copied at the first start, and must stay the same. */
  readonly root?: string | undefined;
  readonly codesign?: string | undefined;
  readonly devices?: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly logger: FastifyBaseLogger | false;
  readonly clock?: () => Date;
  readonly limits?: Partial<Limits>;
}

export interface RunningServer {
  readonly url: string;
  close(): Promise<void>;
}

const renewalMilliseconds = 10 * 60_000;
const stagingMilliseconds = 7 * 24 * 3_600_000;

/** @throws SERVER_MISSING SERVER_ROOT SERVER_ALREADY_RUNNING SERVER_LISTEN */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { directory, logger, clock = () => new Date() } = options;
  const state = stateFolder(directory);
  if (!readIfPresent(join(state, 'online-keys.secret.json'), 1 << 16))
    throw serverError('SERVER_MISSING', `${directory} holds no server`);
  const lock = lockInstance(state);
  try {
    const shipped = takeShipped(state, options);
    const publishers = new PublisherList(state);
    publishers.removeLeftovers();
    const store = new DirectoryStore(directory);
    removeLeftovers(join(directory, 'metadata'));
    const metadata = new PublishedMetadata();
    await metadata.load(store);
    const repository = new Repository(store, metadata, readOnlineKeys(state), clock);
    const staging = new Staging(makeStaging(directory));
    // Not during a commit, which takes files out of the staging folder.
    const tidy = (): Promise<void> =>
      repository.exclusively(() => {
        staging.collect(new Date(clock().getTime() - stagingMilliseconds));
        return Promise.resolve();
      });
    await tidy();
    const publications = new Publications({
      repository,
      staging,
      shippedRoot: shipped.root,
      shippedChains: shipped,
      scanner: noScanner,
      clock,
    });
    let failure: string | null = null;
    const renew = async (): Promise<void> => {
      try {
        if ((await repository.renew()) && logger) logger.info('online roles renewed');
        failure = null;
      } catch (error) {
        const { code, message } = describeError(error);
        // The message is for the log only: anybody may ask for readiness.
        failure = code;
        if (logger) logger.error({ code }, `renewing online roles: ${message}`);
      }
    };
    await renew();
    const app = buildApp({
      repository,
      publications,
      publishers,
      readiness: () => readReadiness(repository, noScanner.active, clock(), failure),
      logger,
      limits: options.limits,
    });
    await app.listen({ host: options.host, port: options.port }).catch((cause: unknown) => {
      const why = `${codeOf(cause) ?? String(cause)} for port ${options.port} of ${options.host}`;
      throw serverError('SERVER_LISTEN', `listening: ${why}`, { cause });
    });
    const timer = setInterval(() => {
      void renew();
      tidy().catch((error: unknown) => logger && logger.error({ err: error }, 'removing old uploads'));
    }, renewalMilliseconds);
    const { port } = app.server.address() as AddressInfo;
    return {
      url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}/`,
      close: async () => {
        clearInterval(timer);
        // Running requests may end, and their connections with them; those that do not end hold the server only for a limited time.
        const idle = setInterval(() => app.server.closeIdleConnections(), 100);
        const hanging = setTimeout(
          () => app.server.closeAllConnections(),
          options.limits?.closing ?? usualLimits.closing,
        );
        await app.close();
        clearInterval(idle);
        clearTimeout(hanging);
        await repository.exclusively(() => Promise.resolve());
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

function makeStaging(directory: string): string {
  const folder = join(directory, 'staging');
  makeFolder(folder);
  return folder;
}

/** The operator gives trust once; the first publisher never does. @throws SERVER_ROOT */
function takeShipped(state: string, given: Pick<ServerOptions, ShippedFile>): ShippedPackage {
  const take = (part: ShippedFile): Buffer => {
    const name = shippedFiles[part];
    const file = given[part];
    const kept = readShippedFile(join(state, name));
    const offered = file === undefined ? undefined : readShippedFile(file);
    if (file !== undefined && !offered) throw serverError('SERVER_ROOT', `${file} is missing`);
    if (kept && offered && sha256(kept) !== sha256(offered))
      throw serverError('SERVER_ROOT', `${file!} is not the file that this server was first given`);
    const bytes = kept ?? offered;
    if (!bytes)
      throw serverError('SERVER_ROOT', `the server was given no ${name}`, {
        hint: 'start it with --root, --codesign and --devices of the shipped package',
      });
    return bytes;
  };
  const shipped = { root: take('root'), codesign: take('codesign'), devices: take('devices') };
  trustRoot(shipped.root);
  readChain('codesign', shipped.codesign, shipped.codesign);
  readChain('devices', shipped.devices, shipped.devices);
  for (const part of ['root', 'codesign', 'devices'] as const) {
    const file = join(state, shippedFiles[part]);
    if (!readShippedFile(file)) writeDurable(file, shipped[part]);
  }
  return shipped;
}
