/**
 * A publication from its announcement to its commit. Announcing is idempotent: the same content has the same id, so a publisher who lost
 * the line or the answer just does it again.
 */
import { Buffer } from 'node:buffer';
import { statSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { consistentTargetName, sha256, timeText } from '@countersign/protocol';
import { serverError } from './errors.ts';
import { checkPublication } from './publication-gate.ts';
import type { ShippedChains } from './release-gate.ts';
import { roleOf, type Current, type Repository } from './repository.ts';
import {
  publicationFormat,
  type PublicationRequest,
  type PublicationResult,
  type Staging,
  type Upload,
} from './staging.ts';

export interface Scanner {
  /** Whether anything is scanned at all. */
  readonly active: boolean;
  /** @throws SCAN_FAILED */
  scan(file: string): Promise<void>;
}
/** Until a scanner is configured; every publication says so. */
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

  /** Judges and publishes. @throws PUBLICATION_* SCAN_FAILED STORE_CONFLICT SERVER_ONLINE_KEY */
  commit(id: string): Promise<PublicationResult & { scanned: boolean }> {
    const { repository, staging, scanner } = this.#options;
    return repository.exclusively(async () => {
      const publication = staging.read(id);
      if (!publication) throw serverError('PUBLICATION_UNKNOWN', `there is no publication ${id.slice(0, 16)}`);
      if (publication.done) return { ...publication.done, scanned: scanner.active };
      const { request } = publication;
      const missing = await this.#missing(request);
      if (missing.length > 0)
        throw serverError(
          'PUBLICATION_INCOMPLETE',
          `${missing.length} files are not uploaded, the first is ${missing[0]!.sha256.slice(0, 16)}`,
        );
      const current = await repository.current();
      checkBase(request, current);
      const offline = new Map(
        Object.entries(request.metadata).map(([name, base64]) => [name, Buffer.from(base64, 'base64')]),
      );
      const prepared = await repository.prepare(offline, current);
      for (const { sha256: digest } of request.targets)
        if (staging.isWhole(digest)) await scanner.scan(staging.whole(digest));
      await this.#judge(request, prepared.files, current);
      for (const { path, sha256: digest } of request.targets)
        if (staging.isWhole(digest))
          await repository.store.adopt(
            `targets/${consistentTargetName(path, digest)}`,
            await this.#copyOf(request, path, digest),
          );
      await repository.write(prepared);
      const done = { timestamp: prepared.timestamp, snapshot: prepared.snapshot };
      staging.write(id, { ...publication, done });
      return { ...done, scanned: scanner.active };
    });
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
      missing.set(digest, { sha256: digest, length, received: staging.received(digest) });
    }
    return [...missing.values()];
  }

  /** Two targets may have the same content: the last of them takes the staged file, the others a copy. */
  async #copyOf({ targets }: PublicationRequest, path: string, digest: string): Promise<string> {
    const whole = this.#options.staging.whole(digest);
    const last = targets.findLast((target) => target.sha256 === digest)!;
    if (last.path === path) return whole;
    const copy = `${whole}.copy`;
    await copyFile(whole, copy);
    return copy;
  }

  #lengthOf(id: string, digest: string): number {
    const publication = this.#options.staging.read(id);
    if (!publication || publication.done)
      throw serverError('PUBLICATION_UNKNOWN', `there is no open publication ${id.slice(0, 16)}`);
    const target = publication.request.targets.find((one) => one.sha256 === digest);
    if (!target) throw serverError('PUBLICATION_BLOB', `the publication names no file ${digest.slice(0, 16)}`);
    return target.length;
  }
}

/** Whoever was first wins: a role may only follow the version that its change was made from. @throws PUBLICATION_CONFLICT */
function checkBase(request: PublicationRequest, current: Current | null): void {
  const changed = new Map<string, number>();
  for (const name of Object.keys(request.metadata)) {
    const version = parseInt(name, 10);
    changed.set(roleOf(name), Math.min(version, changed.get(roleOf(name)) ?? Infinity));
  }
  for (const [role, version] of changed) {
    const stands =
      role === 'root' ? (current?.root.version ?? 0) : (current?.snapshot.meta[`${role}.json`]?.version ?? 0);
    const base = Object.hasOwn(request.base, role) ? request.base[role]! : 0;
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
