/**
 * Handles a publication from its announcement to its commit. Announcing is idempotent: the same content has the same id, so a
 * publisher who lost the connection or the answer just repeats it.
 */
import { Buffer } from 'node:buffer';
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { shortDigest, consistentTargetName, metadataFileName, sha256, timeText } from '@countersign/protocol';
import { serverError } from './errors.ts';
import { checkPublication } from './publication-gate.ts';
import type { ShippedChains } from './release-gate.ts';
import { roleOfFile, type Current, type Repository } from './repository.ts';
import {
  publicationFormat,
  type PublicationRequest,
  type PublicationResult,
  type Staging,
  type StoredPublication,
  type Upload,
} from './staging.ts';

export interface Scanner {
  /** Whether anything is scanned at all. */
  readonly active: boolean;
  /** Throws if something was found or could not be scanned: then nothing is published. */
  scan(file: string): Promise<void>;
}
/** Used until a scanner is configured; every publication says so. */
export const noScanner: Scanner = { active: false, scan: () => Promise.resolve() };

export interface PublicationsOptions {
  readonly repository: Repository;
  readonly staging: Staging;
  readonly shippedRoot: Uint8Array;
  readonly shippedChains: ShippedChains;
  readonly scanner: Scanner;
  readonly clock: () => Date;
}

export interface Missing {
  readonly sha256: string;
  readonly length: number;
  readonly received: number;
}

/** The largest target that is read whole: bundles, texts, channels, chains. */
const maximumSmall = 8 << 20;

export class Publications {
  readonly #options: PublicationsOptions;

  constructor(options: PublicationsOptions) {
    this.#options = options;
  }

  /** @throws PUBLICATION_REQUEST FORMAT_SCHEMA */
  async begin(publisher: string, body: unknown): Promise<{ id: string; missing: Missing[]; done?: PublicationResult }> {
    const { staging, clock } = this.#options;
    const request = publicationFormat.check(body);
    const digests = new Map<string, number>();
    for (const { sha256: digest, length } of request.targets) {
      if ((digests.get(digest) ?? length) !== length)
        throw serverError('PUBLICATION_REQUEST', 'one digest is announced with two lengths');
      digests.set(digest, length);
    }
    const id = sha256(publicationFormat.serialize(request));
    const known = staging.read(id);
    if (known?.done) return { id, missing: [], done: known.done };
    if (!known) staging.write(id, { publisher, begun: timeText(clock()), request });
    return { id, missing: await this.#missing(request) };
  }

  /** How much of a blob of the publication is there. @throws PUBLICATION_UNKNOWN PUBLICATION_BLOB */
  received(id: string, digest: string): { received: number; length: number } {
    const length = this.#lengthOf(id, digest);
    return { received: this.#options.staging.received(digest), length };
  }

  /** Takes bytes of a blob. @throws PUBLICATION_UNKNOWN PUBLICATION_BLOB DISK_FULL */
  async upload(id: string, digest: string, upload: Upload): Promise<{ received: number; length: number }> {
    const length = this.#lengthOf(id, digest);
    return { received: await this.#options.staging.append(digest, length, upload), length };
  }

  /** Judges and publishes. @throws PUBLICATION_* STORE_CONFLICT SERVER_ONLINE_KEY */
  commit(id: string): Promise<PublicationResult & { scanned: boolean }> {
    const { repository, staging, scanner } = this.#options;
    return repository.exclusively(async () => {
      const publication = staging.read(id);
      if (!publication) throw serverError('PUBLICATION_UNKNOWN', `there is no publication ${shortDigest(id)}`);
      if (publication.done) return { ...publication.done, scanned: scanner.active };
      const { request } = publication;
      const current = await repository.current();
      const offline = new Map(
        Object.entries(request.metadata).map(([name, base64]) => [name, Buffer.from(base64, 'base64')]),
      );
      const standing = current && (await this.#isStanding(offline, current));
      if (standing) return this.#finish(id, publication, current.timestamp.version, current.snapshot.version);
      await this.#checkBase(request.base, offline, current);
      const missing = await this.#missing(request);
      if (missing.length > 0)
        throw serverError(
          'PUBLICATION_INCOMPLETE',
          `${missing.length} files are not uploaded, the first is ${shortDigest(missing[0]!.sha256)}`,
        );
      const prepared = await repository.prepare(offline, current);
      for (const { sha256: digest } of request.targets)
        if (staging.isWhole(digest)) await scanner.scan(staging.whole(digest));
      await this.#judge(request, prepared.files, current);
      const wanted = staging.wantedBeside(id);
      const last = new Map(request.targets.map(({ sha256: digest }, index) => [digest, index]));
      for (const [index, { path, sha256: digest }] of request.targets.entries()) {
        if (!staging.isWhole(digest)) continue;
        // The last target that needs it takes the staged file, the others a copy.
        const taken = last.get(digest) === index && !wanted.has(digest);
        const file = taken ? staging.whole(digest) : await staging.copy(digest);
        await repository.store.adopt(`targets/${consistentTargetName(path, digest)}`, file);
      }
      await repository.write(prepared);
      return this.#finish(id, publication, prepared.timestamp, prepared.snapshot);
    });
  }

  #finish(id: string, publication: StoredPublication, timestamp: number, snapshot: number) {
    const { staging, scanner } = this.#options;
    const done = { timestamp, snapshot };
    staging.write(id, { ...publication, done });
    return { ...done, scanned: scanner.active };
  }

  async #judge(
    request: PublicationRequest,
    files: ReadonlyMap<string, Buffer>,
    current: Current | null,
  ): Promise<void> {
    const { repository, staging, shippedRoot, shippedChains, clock } = this.#options;
    await checkPublication({
      shippedRoot,
      shippedChains,
      next: repository.overlay(files),
      before: current ? repository.overlay(new Map()) : null,
      now: clock(),
      readTarget: async (path, digest) => {
        if (staging.isWhole(digest))
          return statSync(staging.whole(digest)).size > maximumSmall ? null : readFile(staging.whole(digest));
        return repository.readTarget(path, digest, maximumSmall);
      },
      hasTarget: async (path, digest, length) => {
        const staged =
          staging.isWhole(digest) &&
          request.targets.some(
            (target) => target.path === path && target.sha256 === digest && target.length === length,
          );
        return (
          staged || (await repository.store.head(`targets/${consistentTargetName(path, digest)}`))?.length === length
        );
      },
    });
  }

  async #missing({ targets }: PublicationRequest): Promise<Missing[]> {
    const { repository, staging } = this.#options;
    const missing = new Map<string, Missing>();
    for (const { path, sha256: digest, length } of targets) {
      if (staging.isWhole(digest) || missing.has(digest)) continue;
      if ((await repository.store.head(`targets/${consistentTargetName(path, digest)}`))?.length === length) continue;
      if (await staging.complete(digest, length)) continue;
      missing.set(digest, { sha256: digest, length, received: staging.received(digest) });
    }
    return [...missing.values()];
  }

  #lengthOf(id: string, digest: string): number {
    const publication = this.#options.staging.read(id);
    if (!publication || publication.done)
      throw serverError('PUBLICATION_UNKNOWN', `there is no open publication ${shortDigest(id)}`);
    const target = publication.request.targets.find((one) => one.sha256 === digest);
    if (!target) throw serverError('PUBLICATION_BLOB', `the publication names no file ${shortDigest(digest)}`);
    return target.length;
  }

  /** Whether exactly this publication was already done, before the server died or the answer got lost. */
  async #isStanding(offline: ReadonlyMap<string, Buffer>, { snapshot }: Current): Promise<boolean> {
    const { repository } = this.#options;
    const names = [...offline.keys()].filter((name) => roleOfFile(name) !== 'root');
    if (names.some((name) => snapshot.meta[`${roleOfFile(name)}.json`]?.version !== parseInt(name, 10))) return false;
    for (const [name, bytes] of offline) if (!(await repository.holds(name, bytes))) return false;
    return names.length > 0;
  }

  /** The first publisher wins: a role may only follow the version from which its change was made. @throws PUBLICATION_CONFLICT */
  async #checkBase(
    bases: Readonly<Record<string, number>>,
    offline: ReadonlyMap<string, Buffer>,
    current: Current | null,
  ): Promise<void> {
    const changed = new Map<string, number>();
    for (const name of offline.keys()) {
      const version = parseInt(name, 10);
      changed.set(roleOfFile(name), Math.min(version, changed.get(roleOfFile(name)) ?? Infinity));
    }
    for (const [role, version] of changed) {
      const stands =
        role === 'root' ? (current?.root.version ?? 0) : (current?.snapshot.meta[`${role}.json`]?.version ?? 0);
      const base = Object.hasOwn(bases, role) ? bases[role]! : 0;
      // This same publication broke off between its root and its timestamp: devices already follow the root.
      if (role === 'root' && base < stands && (await this.#holdsRoots(offline, base + 1, stands))) continue;
      if (base !== stands)
        throw serverError(
          'PUBLICATION_CONFLICT',
          `role ${role} was changed from version ${base}, it is now version ${stands}`,
          { context: { role, base, current: stands } },
        );
      if (version <= stands)
        throw serverError('PUBLICATION_REQUEST', `role ${role} has version ${version}, published is ${stands}`);
    }
  }

  async #holdsRoots(offline: ReadonlyMap<string, Buffer>, first: number, last: number): Promise<boolean> {
    for (let version = first; version <= last; version++) {
      const name = metadataFileName('root', version);
      const bytes = offline.get(name);
      if (!bytes || !(await this.#options.repository.holds(name, bytes))) return false;
    }
    return true;
  }
}
