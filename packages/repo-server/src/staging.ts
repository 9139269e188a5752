/**
 * Keeps uploads before they are published: blobs named by their digest, complete or growing, and the publications that want them.
 * Publications may share a blob, and an upload may continue after a restart. Nothing here is served.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { closed, shortDigest, codeOf, format, MapOf, parseJson, Sha256, Time } from '@countersign/protocol';
import Type, { type Static } from 'typebox';
import {
  makeFolder,
  readIfPresent,
  removeDurable,
  syncFolder,
  writeDurable,
  writeFailure,
} from '@countersign/protocol/node';
import { serverError } from './errors.ts';

const Version = Type.Integer({ minimum: 0, maximum: 2 ** 31 });
const RoleName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,80}$' });

/** What a publisher wants to publish: changed offline roles and roots as bytes, and every target file that is new. */
export const PublicationRequest = Type.Object(
  {
    metadata: MapOf(
      Type.String({ pattern: '^[1-9]\\d{0,9}\\.[a-z][a-z0-9-]{0,80}\\.json$' }),
      Type.String({ maxLength: 8_000_000, pattern: '^[A-Za-z0-9+/]*={0,2}$' }),
      { minProperties: 1, maxProperties: 200 },
    ),
    targets: Type.Array(
      Type.Object(
        {
          path: Type.String({ pattern: '^[A-Za-z0-9._/-]+$', maxLength: 400 }),
          sha256: Sha256,
          length: Type.Integer({ minimum: 0, maximum: 2 ** 40 }),
        },
        closed,
      ),
      { maxItems: 5000 },
    ),
    /** The version of each role from which the change was made; 0 for a new role. */
    base: MapOf(RoleName, Version, { maxProperties: 1100 }),
  },
  closed,
);
export type PublicationRequest = Static<typeof PublicationRequest>;
export const publicationFormat = format('publication', PublicationRequest, 64 << 20);

export interface PublicationResult {
  readonly timestamp: number;
  readonly snapshot: number;
}

const Stored = Type.Object(
  {
    publisher: Type.String({ maxLength: 63 }),
    begun: Time,
    request: PublicationRequest,
    done: Type.Optional(Type.Object({ timestamp: Version, snapshot: Version }, closed)),
  },
  closed,
);
export type StoredPublication = Static<typeof Stored>;
const storedFormat = format('stored publication', Stored, 64 << 20);

/** Incoming bytes of a blob. */
export interface Upload {
  /** Where in the blob they begin. */
  readonly offset: number;
  /** Their announced number; null if it was not announced. */
  readonly length: number | null;
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const isId = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

export class Staging {
  readonly #directory: string;
  readonly #writing = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
    makeFolder(join(directory, 'blobs'));
    makeFolder(join(directory, 'publications'));
  }

  read(id: string): StoredPublication | null {
    const bytes = readIfPresent(this.#publication(id), 64 << 20);
    return bytes ? storedFormat.check(parseJson(bytes, `publication ${id}`, 64 << 20)) : null;
  }

  write(id: string, publication: StoredPublication): void {
    writeDurable(this.#publication(id), storedFormat.serialize(publication));
  }

  /** The file of a complete blob; its digest was checked when it was completed. */
  whole(sha256: string): string {
    return join(this.#directory, 'blobs', sha256);
  }

  /** How many bytes have arrived. */
  received(sha256: string): number {
    for (const file of [this.whole(sha256), `${this.whole(sha256)}.part`]) {
      try {
        return statSync(file).size;
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
    }
    return 0;
  }

  isWhole = (sha256: string): boolean => existsSync(this.whole(sha256));

  /**
   * Appends to a blob, and completes it when all bytes have arrived and its digest is right. Two uploads of one blob do not mix:
   * the second is told how far the first is.
   * @throws PUBLICATION_BLOB DISK_FULL; bytes that came in order are kept, unless the digest is wrong
   */
  async append(sha256: string, length: number, { offset, length: coming, chunks }: Upload): Promise<number> {
    if (this.isWhole(sha256)) return length;
    if (this.#writing.has(sha256))
      throw serverError('PUBLICATION_BLOB', `${shortDigest(sha256)} is being uploaded by another request`);
    this.#writing.add(sha256);
    const part = `${this.whole(sha256)}.part`;
    try {
      const there = this.received(sha256);
      if (offset !== there)
        throw serverError(
          'PUBLICATION_BLOB',
          `${shortDigest(sha256)} has ${there} bytes, the upload starts at ${offset}`,
          { context: { received: there } },
        );
      if (there + (coming ?? 0) > length) throw tooLong(sha256, length, there);
      const total = await appendTo(part, there, length, chunks, sha256);
      if (total === length && !(await this.#makeWhole(sha256)))
        throw serverError('PUBLICATION_BLOB', `what was uploaded as ${shortDigest(sha256)} has another digest`, {
          context: { received: 0 },
        });
      return total;
    } finally {
      this.#writing.delete(sha256);
    }
  }

  /**
   * Completes a blob whose bytes all arrived, but whose upload was cut off (by a crash or a broken connection) before that was
   * noticed. True if it is complete. Bytes that can never become the blob are removed.
   */
  async complete(sha256: string, length: number): Promise<boolean> {
    const part = `${this.whole(sha256)}.part`;
    if (this.isWhole(sha256)) return true;
    if (this.#writing.has(sha256) || !existsSync(part) || statSync(part).size < length) return false;
    this.#writing.add(sha256);
    try {
      syncFile(part);
      return await this.#makeWhole(sha256);
    } finally {
      this.#writing.delete(sha256);
    }
  }

  /** A durable copy of a complete blob, for the caller to move away. */
  async copy(sha256: string): Promise<string> {
    const copy = `${this.whole(sha256)}.copy`;
    await copyFile(this.whole(sha256), copy);
    syncFile(copy);
    return copy;
  }

  /** False if its digest is wrong; the bytes are then removed. */
  async #makeWhole(sha256: string): Promise<boolean> {
    const part = `${this.whole(sha256)}.part`;
    if ((await digestOf(part)) !== sha256) {
      removeDurable(part);
      return false;
    }
    renameSync(part, this.whole(sha256));
    syncFolder(join(this.#directory, 'blobs'));
    return true;
  }

  /** Digests that other open publications announced. */
  wantedBeside(id: string): Set<string> {
    const wanted = new Set<string>();
    for (const name of readdirSync(join(this.#directory, 'publications'))) {
      const other = name.replace(/\.json$/, '');
      const publication = other !== id && isId(other) ? this.read(other) : null;
      if (publication && !publication.done) publication.request.targets.forEach(({ sha256 }) => wanted.add(sha256));
    }
    return wanted;
  }

  /** Removes publications older than `before`, and blobs that no other publication wants. */
  collect(before: Date): void {
    const wanted = new Set<string>();
    for (const name of readdirSync(join(this.#directory, 'publications'))) {
      const id = name.replace(/\.json$/, '');
      const publication = isId(id) ? this.read(id) : null;
      if (publication && Date.parse(publication.begun) >= before.getTime()) {
        if (!publication.done) publication.request.targets.forEach(({ sha256 }) => wanted.add(sha256));
      } else rmSync(join(this.#directory, 'publications', name), { force: true });
    }
    for (const name of readdirSync(join(this.#directory, 'blobs')))
      if (!wanted.has(name.replace(/\.part$/, ''))) rmSync(join(this.#directory, 'blobs', name), { force: true });
  }

  #publication = (id: string): string => join(this.#directory, 'publications', `${id}.json`);
}

const tooLong = (sha256: string, length: number, received: number): Error =>
  serverError('PUBLICATION_BLOB', `${shortDigest(sha256)} is longer than the ${length} bytes announced`, {
    context: { received },
  });

async function appendTo(
  file: string,
  there: number,
  length: number,
  chunks: Upload['chunks'],
  sha256: string,
): Promise<number> {
  const descriptor = openSync(file, 'a');
  let total = there;
  try {
    for await (const chunk of chunks) {
      if (total + chunk.length > length) throw tooLong(sha256, length, total);
      for (let at = 0; at < chunk.length;) at += writeSync(descriptor, chunk, at);
      total += chunk.length;
    }
    fsyncSync(descriptor);
    return total;
  } catch (cause) {
    if (codeOf(cause)?.startsWith('PUBLICATION_')) throw cause;
    // The connection broke: what arrived stays for the next request.
    if (codeOf(cause) === 'ENOSPC' || codeOf(cause) === 'EDQUOT') throw writeFailure(file, 'receiving', cause);
    throw serverError('PUBLICATION_BLOB', `the upload of ${shortDigest(sha256)} broke off at ${total} bytes`, {
      cause,
      context: { received: total },
    });
  } finally {
    closeSync(descriptor);
  }
}

function syncFile(file: string): void {
  const descriptor = openSync(file, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
