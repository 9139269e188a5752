/** The two clients that are compared, over the same files, each with its own memory between epochs. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { codeOf } from '@countersign/protocol';
import { lookUp, refresh, type MetadataSession } from '@countersign/protocol/node';
import { Updater, type Fetcher } from 'tuf-js';
import { DownloadHTTPError, DownloadLengthMismatchError } from 'tuf-js/dist/error.js';
import { memoryStore } from '../support/memory-store.ts';
import type { Stricter } from './hardenings.ts';

export type Files = ReadonlyMap<string, Buffer>;
export type Finding =
  | { kind: 'found'; length: number; hashes: Record<string, string> }
  | { kind: 'absent' }
  | { kind: 'refused'; why: string };

/** The result of one refresh and the searches after it. */
export interface Outcome {
  readonly refused: string | null;
  /** Bytes of each top-level role as the client keeps it. */
  readonly kept: Record<string, string | undefined>;
  readonly findings: Record<string, Finding>;
}
export interface Client {
  run(files: Files, now: Date, paths: readonly string[]): Promise<Outcome>;
}

const roles = ['root', 'timestamp', 'snapshot', 'targets'];

/** The core, restarted for each epoch or running on in one process. */
export function coreClient(shippedRoot: Buffer, process: 'restarts' | 'goes on'): Client {
  const store = memoryStore();
  let previous: MetadataSession | undefined;
  return {
    async run(files, now, paths) {
      const source = {
        fetch: (name: string, maximum: number) => {
          const bytes = files.get(name);
          if (bytes && bytes.length > maximum)
            return Promise.reject(Object.assign(new Error('too large'), { code: 'SOURCE_TOO_LARGE' }));
          return Promise.resolve(bytes ? ({ kind: 'found', bytes } as const) : ({ kind: 'absent' } as const));
        },
      };
      const findings: Record<string, Finding> = {};
      let refused: string | null = null;
      try {
        const session = await refresh({ source, store, shippedRoot, now, profile: 'general', previous });
        if (process === 'goes on') previous = session;
        for (const path of paths)
          findings[path] = await lookUp(session, path).then(
            ({ target }): Finding =>
              target ? { kind: 'found', length: target.length, hashes: target.hashes } : { kind: 'absent' },
            (error: unknown): Finding => ({ kind: 'refused', why: reason(error) }),
          );
      } catch (error) {
        refused = reason(error);
      }
      const newest = store.roots.get(Math.max(...store.roots.keys()));
      const kept = Object.fromEntries(
        roles.map((role) => [role, text(role === 'root' ? newest : store.roles.get(role))]),
      );
      return { refused, kept, findings };
    },
  };
}

/** A refusal by the core has a code; anything else is a defect. */
function reason(error: unknown): string {
  const code = codeOf(error);
  if (code === undefined || !/^(TUF|SOURCE)_/.test(code)) throw error;
  return `${code}: ${(error as Error).message}`;
}

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('latin1');

/** `scratch` is a folder that the caller removes in the end. */
export function tufJsClient(shippedRoot: Buffer, scratch: string): Client {
  const folder = mkdtempSync(join(scratch, 'tuf-js-'));
  writeFileSync(join(folder, 'root.json'), shippedRoot);
  const base = 'https://repository.invalid/';
  return {
    async run(files, now, paths) {
      const downloadBytes = (url: string, maximum: number): Promise<Buffer> => {
        const bytes = files.get(url.slice(base.length));
        if (!bytes) return Promise.reject(new DownloadHTTPError('absent', 404));
        return bytes.length > maximum
          ? Promise.reject(new DownloadLengthMismatchError('too large'))
          : Promise.resolve(bytes);
      };
      const fetcher: Fetcher = { downloadBytes, downloadFile: () => Promise.reject(new Error('unused')) };
      const findings: Record<string, Finding> = {};
      let refused: string | null = null;
      try {
        const updater = new Updater({ metadataDir: folder, metadataBaseUrl: base, fetcher });
        (updater as unknown as { trustedSet: { referenceTime: Date } }).trustedSet.referenceTime = now;
        await updater.refresh();
        for (const path of paths)
          findings[path] = await updater.getTargetInfo(path).then(
            (target): Finding =>
              target ? { kind: 'found', length: target.length, hashes: target.hashes } : { kind: 'absent' },
            (error: unknown): Finding => ({ kind: 'refused', why: String(error) }),
          );
      } catch (error) {
        refused = String(error);
      }
      return {
        refused,
        kept: Object.fromEntries(roles.map((role) => [role, read(join(folder, `${role}.json`))])),
        findings,
      };
    },
  };
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return undefined;
  }
}

/** Where the two differ; empty when they agree. `stricter` says which one refuses what the other accepts. */
export interface Difference {
  readonly what: string;
  readonly stricter: Stricter;
}

export function differences(core: Outcome, tufJs: Outcome): Difference[] {
  if ((core.refused === null) !== (tufJs.refused === null)) {
    const stricter = core.refused === null ? 'tuf-js' : 'core';
    return [{ what: `refresh: core ${core.refused ?? 'accepts'}, tuf-js ${tufJs.refused ?? 'accepts'}`, stricter }];
  }
  const found: Difference[] = [];
  for (const role of roles) {
    const [ours, theirs] = [core.kept[role], tufJs.kept[role]];
    if (ours === theirs) continue;
    // Both refuse, but not the same file: the one that stopped at an earlier root is the stricter.
    const stopped = core.refused !== null && versionOf(ours) !== versionOf(theirs);
    const stricter = !stopped ? 'neither' : versionOf(ours) < versionOf(theirs) ? 'core' : 'tuf-js';
    found.push({ what: `they keep different ${role} files`, stricter });
  }
  // In different states they find different targets.
  if (found.length > 0) return found;
  for (const [path, ours] of Object.entries(core.findings)) {
    const theirs = tufJs.findings[path]!;
    if (ours.kind === 'refused' && theirs.kind === 'refused') continue;
    if (isDeepStrictEqual(ours, theirs)) continue;
    const stricter = ours.kind === 'refused' ? 'core' : theirs.kind === 'refused' ? 'tuf-js' : 'neither';
    found.push({ what: `${path}: core ${JSON.stringify(ours)}, tuf-js ${JSON.stringify(theirs)}`, stricter });
  }
  return found;
}

const versionOf = (file: string | undefined): number =>
  (JSON.parse(file ?? '{"signed":{"version":-1}}') as { signed: { version: number } }).signed.version;
