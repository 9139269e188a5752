/**
 * Publishes the pending change: announces it, uploads its missing files (several at a time, each continued where it broke off),
 * then commits it. The server judges everything again; this module refuses only what is obviously not ready. Repeating is always
 * safe: the same change is the same publication.
 */
import { createReadStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { shortDigest, codeOf, escapeText, serialize, type Target, type Targets } from '@countersign/protocol';
import { readIfPresent, undici } from '@countersign/protocol/node';
import { changeState, isEmpty } from '../change/change-signing.ts';
import { artifactError } from '../releases/artifact-errors.ts';
import { artifactFile } from '../releases/artifacts.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { serverAddress } from './published-state.ts';

export interface Published {
  readonly timestamp: number;
  readonly snapshot: number;
  readonly scanned?: boolean;
}

interface Missing {
  readonly sha256: string;
  readonly length: number;
  readonly received: number;
}

interface TargetToUpload {
  readonly path: string;
  readonly target: Target;
}

const together = 4;
const uploadTries = 5;
const commitMilliseconds = 10 * 60_000;

/** The targets that the change lists and the published roles do not. */
function targetsToUpload(workspace: Workspace): TargetToUpload[] {
  const found: TargetToUpload[] = [];
  for (const role of workspace.pendingRoles()) {
    if (role === 'root' || role === 'targets') continue;
    const before = (workspace.trustedRole(role)?.signed as Targets | undefined)?.targets ?? {};
    for (const [path, target] of Object.entries((workspace.pendingRole(role)!.signed as Targets).targets))
      if (!Object.hasOwn(before, path) || before[path]!.hashes.sha256 !== target.hashes.sha256)
        found.push({ path, target });
  }
  return found;
}

/** @throws CHANGE_EMPTY CHANGE_UNSIGNED PUBLISH_REFUSED PUBLISH_CONFLICT PUBLISH_UNREACHED WORKSPACE_DAMAGED */
export async function publish(
  workspace: Workspace,
  server: string,
  apiKey: string,
  onProgress: (done: number, total: number) => void,
): Promise<Published> {
  if (isEmpty(workspace)) throw signerError('CHANGE_EMPTY', `nothing is pending in ${workspace.directory}`);
  const state = changeState(workspace);
  if (!state.complete) {
    const open = [...state.lines, ...state.roles].filter(({ complete }) => !complete);
    const names = open.map((one) => ('role' in one ? one.role : `${one.authority} version ${one.version}`));
    throw signerError('CHANGE_UNSIGNED', `not signed by enough keys: ${names.join(', ')}`);
  }
  const targets = targetsToUpload(workspace);
  for (const target of targets) checkFile(fileOf(workspace, target), target);
  const api = new Api(server, apiKey);
  const begun = await api.ask<{ id: string; missing: Missing[]; published?: Published }>('POST', 'v1/publications', {
    metadata: Object.fromEntries(
      workspace.pendingRoles().map((role) => {
        const { signed, signatures } = workspace.pendingRole(role)!;
        return [`${signed.version}.${role}.json`, serialize(signed, signatures).toString('base64')];
      }),
    ),
    targets: targets.map(({ path, target }) => ({ path, sha256: target.hashes.sha256!, length: target.length })),
    base: Object.fromEntries(
      workspace.pendingRoles().flatMap((role) => {
        const before = workspace.trustedRole(role);
        return before ? [[role, before.signed.version]] : [];
      }),
    ),
  });
  if (begun.published) return begun.published;
  const contentOf = (digest: string): string =>
    fileOf(
      workspace,
      targets.find(({ target }) => target.hashes.sha256 === digest)!,
    );
  await uploadAll(api, begun.id, begun.missing, contentOf, onProgress);
  return api.ask<Published>('POST', `v1/publications/${begun.id}/commit`, undefined, commitMilliseconds);
}

async function uploadAll(
  api: Api,
  id: string,
  missing: readonly Missing[],
  contentOf: (digest: string) => string,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  const total = missing.reduce((sum, { length, received }) => sum + length - received, 0);
  const queue = [...missing];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { sha256: digest, length } = next;
      let { received } = next;
      const start = received;
      const before = done;
      for (let left = uploadTries; received < length || length === 0; left--) {
        try {
          received = await api.upload(id, digest, contentOf(digest), received, (sent) =>
            onProgress(before + sent, total),
          );
          if (received >= length) break;
        } catch (error) {
          // Only a broken connection is tried again, from the bytes that the server has.
          if (codeOf(error) !== 'PUBLISH_UNREACHED' || left <= 1) throw error;
          received = await api.received(id, digest);
        }
        if (left <= 1) throw signerError('PUBLISH_UNREACHED', `uploading ${shortDigest(digest)} makes no progress`);
      }
      done += length - start;
      onProgress(done, total);
    }
  };
  await Promise.all(Array.from({ length: Math.min(together, missing.length) }, work));
}

/** The file of its content: among the documents of the change, or in a packed release. @throws WORKSPACE_DAMAGED */
function fileOf(workspace: Workspace, { path, target }: TargetToUpload): string {
  if (workspace.changedBytes(path, target)) return workspace.changedDocument(path, target.hashes.sha256!);
  if (path.startsWith('components/')) return artifactFile(workspace.directory, path);
  throw signerError('WORKSPACE_DAMAGED', `${path} of the change is missing in ${workspace.directory}`);
}

/** Checked before anything is sent; the server judges the content. @throws ARTIFACT_MISSING ARTIFACT_DAMAGED */
function checkFile(file: string, { path, target }: TargetToUpload): void {
  const length = statSync(file, { throwIfNoEntry: false })?.size;
  if (length === undefined)
    throw artifactError('ARTIFACT_MISSING', `${path} is not in this workspace: no ${file}`, {
      hint: 'publish where the release was packed, or copy its folder in artifacts from there',
    });
  if (length !== target.length)
    throw artifactError('ARTIFACT_DAMAGED', `${file} has ${length} bytes, listed are ${target.length}`);
}

/** The publication API, every answer coded. */
class Api {
  readonly #base: URL;
  readonly #key: string;

  constructor(server: string, key: string) {
    this.#base = serverAddress(server);
    this.#key = key;
  }

  async ask<T>(method: 'POST', path: string, body?: unknown, milliseconds = 60_000): Promise<T> {
    const content = body === undefined ? {} : { 'content-type': 'application/json' };
    const { status, text } = await this.#send(
      method,
      path,
      content,
      body === undefined ? null : JSON.stringify(body),
      milliseconds,
    );
    if (status < 300) return JSON.parse(text) as T;
    throw refusal(status, text);
  }

  async received(id: string, digest: string): Promise<number> {
    const { headers } = await this.#send('HEAD', `v1/publications/${id}/blobs/${digest}`, {}, null, 30_000);
    return Number(headers['upload-offset'] ?? 0);
  }

  /** Sends the file from `offset` on; returns how much the server has then. */
  async upload(
    id: string,
    digest: string,
    file: string,
    offset: number,
    onSent: (bytes: number) => void,
  ): Promise<number> {
    let sent = 0;
    const content = createReadStream(file, { start: offset, highWaterMark: 1 << 18 });
    const counted = Readable.from(
      (async function* () {
        for await (const chunk of content as AsyncIterable<Buffer>) {
          sent += chunk.length;
          onSent(sent);
          yield chunk;
        }
      })(),
    );
    const headers = { 'content-type': 'application/octet-stream', 'upload-offset': String(offset) };
    const path = `v1/publications/${id}/blobs/${digest}`;
    const { status, text } = await this.#send('PUT', path, headers, counted, 0);
    if (status >= 300) throw refusal(status, text);
    return (JSON.parse(text) as { received: number }).received;
  }

  /** `milliseconds` limits the wait for the answer's head; 0 for an upload, which only silence ends. */
  async #send(
    method: 'POST' | 'PUT' | 'HEAD',
    path: string,
    headers: Record<string, string>,
    body: string | Readable | null,
    milliseconds: number,
  ): Promise<{ status: number; text: string; headers: Record<string, string | string[] | undefined> }> {
    try {
      const response = await undici().request(new URL(path, this.#base), {
        method,
        headers: { ...headers, authorization: `Bearer ${this.#key}` },
        body,
        headersTimeout: milliseconds === 0 ? commitMilliseconds : milliseconds,
        bodyTimeout: 60_000,
      });
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > 16 << 20) throw new Error('its answer is too long');
        chunks.push(chunk);
      }
      return { status: response.statusCode, text: Buffer.concat(chunks).toString('utf8'), headers: response.headers };
    } catch (cause) {
      const why = codeOf(cause) ?? (cause instanceof Error ? cause.message : 'no answer');
      throw signerError('PUBLISH_UNREACHED', `${this.#base.origin}: ${escapeText(why, 200)}`, { cause });
    }
  }
}

/** The server's own code and message, with a hint. */
function refusal(status: number, text: string): Error {
  let error: { code?: string; message?: string } = {};
  try {
    error = (JSON.parse(text) as { error?: typeof error }).error ?? {};
  } catch {
    // Not an answer of our server, but of a proxy or another program.
  }
  const words = `${error.code ?? `HTTP ${status}`}: ${escapeText(error.message ?? 'the server gave no reason', 1000)}`;
  const conflict = ['PUBLICATION_CONFLICT', 'PUBLICATION_VERSION_TAKEN', 'STORE_CONFLICT'].includes(error.code ?? '');
  return signerError(conflict ? 'PUBLISH_CONFLICT' : 'PUBLISH_REFUSED', words);
}

/** The API key from the first line of a file. @throws OPTION_NEEDED */
export function readApiKey(file: string): string {
  const line = readIfPresent(file, 4096)?.toString('utf8').split(/\r?\n/, 1)[0]?.trim();
  if (!line) throw signerError('OPTION_NEEDED', `${file} holds no API key in its first line`);
  return line;
}

/** Makes what was published the trusted state and ends the change. */
export function acceptPublished(workspace: Workspace): void {
  const roles = new Map<string, Uint8Array>();
  const documents = new Map<string, Uint8Array>();
  for (const role of workspace.pendingRoles()) {
    const { signed, signatures } = workspace.pendingRole(role)!;
    roles.set(role, serialize(signed, signatures));
    if (role === 'root' || role === 'targets') continue;
    for (const [path, target] of Object.entries((signed as Targets).targets)) {
      const bytes = role.startsWith('component-')
        ? workspace.changedBytes(path, target)
        : workspace.documentOf(path, target);
      if (bytes) documents.set(path, bytes);
    }
  }
  workspace.replaceTrusted(roles, documents);
  workspace.discardChange();
}
