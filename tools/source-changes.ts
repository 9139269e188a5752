/** What `npm run dev` waits for: changed TypeScript sources, tests left out, once they have been quiet for a moment. */
import { watch, type FSWatcher } from 'node:fs';
import { basename, join } from 'node:path';

const quietMilliseconds = 200;

export class SourceChanges {
  readonly #watchers: FSWatcher[];
  readonly #changed = new Set<string>();
  #failed: Error | null = null;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #tell: (() => void) | null = null;

  /** Watches the folders and all in them. What changes before `next` is asked is kept for it. */
  constructor(folders: readonly string[]) {
    this.#watchers = folders.map((folder) =>
      watch(folder, { recursive: true }, (_, name) => {
        if (name !== null && isSource(name)) this.#note(join(folder, name));
      }).on('error', (error) => {
        this.#failed = error;
        this.#tell?.();
      }),
    );
  }

  /** The files that changed since the last answer, as soon as there are some and no more come; none once it is closed. */
  async next(): Promise<string[]> {
    await new Promise<void>((done) => {
      this.#tell = done;
      if (this.#closed || this.#failed || (this.#changed.size > 0 && this.#timer === undefined)) done();
    });
    this.#tell = null;
    if (this.#failed) throw this.#failed;
    const changed = this.#closed ? [] : [...this.#changed].sort();
    this.#changed.clear();
    return changed;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
    this.#tell?.();
  }

  #note(file: string): void {
    this.#changed.add(file);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tell?.();
    }, quietMilliseconds);
  }
}

const isSource = (name: string): boolean => /^[^.].*(?<!\.test)\.ts$/.test(basename(name));
