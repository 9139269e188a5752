/**
 * Reads a repository as a device would: from the shipped root, with the strict profile, every role and every small document. What
 * it returns was verified; nothing of it is stored here.
 */
import { join, resolve } from 'node:path';
import {
  authorityPath,
  consistentTargetName,
  escapeText,
  revocationsPath,
  sha256,
  type TargetFile,
  type TrustedTargets,
} from '@countersign/protocol';
import {
  directorySource,
  httpSource,
  lookUp,
  memoryStore,
  readIfPresent,
  refresh,
  withResponse,
  type MetadataSession,
} from '@countersign/protocol/node';
import { signerError } from '../workspace/errors.ts';
import type { ShippedPackage } from './shipped-package.ts';

export interface PublishedState {
  readonly session: MetadataSession;
  /** Every delegated role by name. */
  readonly roles: ReadonlyMap<string, TrustedTargets>;
  /** Authority chains, revocations and channels by target path. */
  readonly documents: ReadonlyMap<string, Buffer>;
  /** The bytes of a listed target. @throws VERIFY_REFUSED */
  read(path: string): Promise<Buffer>;
}

const maximumDocument = 16 << 20;

/** Where a repository is: an http address, or the folder with `metadata` and `targets`. */
export const isUrl = (place: string): boolean => /^https?:\/\//.test(place);

/** @throws SERVER_ADDRESS */
export function baseUrl(place: string): URL {
  const url = URL.parse(place.endsWith('/') ? place : `${place}/`);
  // It would end up in messages and logs.
  if (url && (url.username !== '' || url.password !== ''))
    throw signerError('SERVER_ADDRESS', `the address of ${escapeText(url.host)} has a user or password in it`, {
      hint: 'leave them out: a publisher is known by --api-key-file, and reading needs none',
    });
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw signerError('SERVER_ADDRESS', `"${escapeText(place, 200)}" is no http or https address`);
}

/** @throws VERIFY_REFUSED TUF_* SOURCE_* */
export async function readPublished(place: string, shipped: ShippedPackage, now: Date): Promise<PublishedState> {
  const source = isUrl(place)
    ? httpSource({ metadataUrl: new URL('metadata/', baseUrl(place)) })
    : directorySource(join(resolve(place), 'metadata'));
  const session = await refresh({ source, store: memoryStore(), shippedRoot: shipped.root, now, profile: 'strict' });
  for (const { paths } of session.state.targets.get('targets')?.signed.delegations?.roles ?? [])
    // A path of the role that nothing has: the search loads the role.
    await lookUp(session, paths![0]!.replaceAll('*', '-'));
  const roles = new Map([...session.state.targets].filter(([name]) => name !== 'targets'));
  const read = async (path: string): Promise<Buffer> => {
    const { target } = await lookUp(session, path);
    if (!target) throw signerError('VERIFY_REFUSED', `the repository lists no ${escapeText(path)}`);
    return fetchTarget(place, target);
  };
  const documents = new Map<string, Buffer>();
  for (const path of [
    authorityPath('codesign'),
    authorityPath('devices'),
    revocationsPath,
    ...Object.keys(roles.get('channels')?.signed.targets ?? {}),
  ])
    documents.set(path, await read(path));
  return { session, roles, documents, read };
}

async function fetchTarget(place: string, target: TargetFile): Promise<Buffer> {
  const name = consistentTargetName(target.path, target.sha256);
  const wrong = (what: string): Error => signerError('VERIFY_REFUSED', `${escapeText(target.path)} ${what}`);
  if (target.length > maximumDocument) throw wrong(`has ${target.length} bytes, too many for a document`);
  const bytes = isUrl(place)
    ? await download(new URL(`targets/${name}`, baseUrl(place)), target.length, wrong)
    : readIfPresent(join(resolve(place), 'targets', ...name.split('/')), maximumDocument);
  if (!bytes) throw wrong('is listed and not there');
  if (bytes.length !== target.length || sha256(bytes) !== target.sha256) throw wrong('is not the file that is listed');
  return bytes;
}

const download = (url: URL, length: number, wrong: (what: string) => Error): Promise<Buffer> =>
  withResponse(url, {}, {}, async ({ statusCode, body }) => {
    if (statusCode !== 200) throw wrong(`is listed, the server answers ${statusCode}`);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > length) throw wrong(`has more than the ${length} bytes that are listed`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, size);
  });
