/**
 * Keeps the published metadata in memory, ready to serve with its ETag. It is loaded once and then told of every file that is
 * put. Versioned files never change; `timestamp.json` is replaced as a whole.
 */
import { sha256 } from '@countersign/protocol';
import type { RepositoryStore } from './repository-store.ts';

export interface ServedFile {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly immutable: boolean;
}

const maximumBytes = 5_000_000;

export class PublishedMetadata {
  readonly #files = new Map<string, ServedFile>();

  async load(store: RepositoryStore): Promise<void> {
    for await (const name of store.list('metadata/')) {
      const file = await store.read(name, maximumBytes);
      if (file) this.put(name.slice('metadata/'.length), file.bytes);
    }
  }

  /** `digest` is the sha256 of these bytes, if the caller has it. */
  put(name: string, bytes: Buffer, digest = sha256(bytes)): void {
    this.#files.set(name, { bytes, etag: `"${digest.slice(0, 32)}"`, immutable: name !== 'timestamp.json' });
  }

  get(name: string): ServedFile | undefined {
    return this.#files.get(name);
  }
}
