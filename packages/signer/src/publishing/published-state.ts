/**
 * Reads a repository as a device would: from the shipped root, with the strict profile, every role and every small document. What
 * it returns was verified; it stores nothing.
 */
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  authorityPath,
  channelFormat,
  checkDocumentBytes,
  checkDocumentListed,
  consistentTargetName,
  documentError,
  escapeText,
  maximumChainBytes,
  revocationsFormat,
  revocationsPath,
  type TargetFile,
  type TrustedTargets,
} from '@countersign/protocol';
import {
  checkLocalFile,
  checkRemoteFile,
  directorySource,
  fetchDocument,
  httpSource,
  lookUp,
  memoryStore,
  readIfPresent,
  refresh,
  type FileCheck,
  type MetadataSession,
  type ShippedPackage,
} from '@countersign/protocol/node';
import { signerError } from '../workspace/errors.ts';

export interface PublishedState {
  readonly session: MetadataSession;
  /** Every delegated role by name. */
  readonly roles: ReadonlyMap<string, TrustedTargets>;
  /** Authority chains, revocations and channels by target path. */
  readonly documents: ReadonlyMap<string, Buffer>;
  /** The bytes of a document, exactly as listed. @throws TRUST_DOCUMENT */
  read(path: string, maximumBytes: number): Promise<Buffer>;
  /** Reads a large file and checks its length and digest. @throws SOURCE_* TUF_HASH FILE_READ */
  checkFile(path: string, expected: FileCheck): Promise<void>;
}

/** Whether the place of a repository is an http address and not the folder with `metadata` and `targets`. */
const isUrl = (place: string): boolean => /^https?:\/\//.test(place);

/** @throws SERVER_ADDRESS */
export function serverAddress(place: string): URL {
  const url = URL.parse(place.endsWith('/') ? place : `${place}/`);
  // A password in the address would get into messages and logs.
  if (url && (url.username !== '' || url.password !== ''))
    throw signerError('SERVER_ADDRESS', `the address of ${escapeText(url.host)} has a user or password in it`, {
      hint: 'leave them out: a publisher is known by --api-key-file, and reading needs none',
    });
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw signerError('SERVER_ADDRESS', `"${escapeText(place, 200)}" is no http or https address`);
}

/** @throws TRUST_DOCUMENT TUF_* SOURCE_* FILE_READ */
export async function readPublished(place: string, shipped: ShippedPackage, now: Date): Promise<PublishedState> {
  const source = isUrl(place)
    ? httpSource({ metadataUrl: new URL('metadata/', serverAddress(place)) })
    : directorySource(join(resolve(place), 'metadata'));
  const session = await refresh({ source, store: memoryStore(), shippedRoot: shipped.root, now, profile: 'strict' });
  for (const { paths } of session.state.targets.get('targets')?.signed.delegations?.roles ?? [])
    // A path of the role that does not exist, so that the search loads the role.
    await lookUp(session, paths![0]!.replaceAll('*', '-'));
  const roles = new Map([...session.state.targets].filter(([name]) => name !== 'targets'));
  const read = async (path: string, maximumBytes: number): Promise<Buffer> =>
    fetchTarget(place, checkDocumentListed(path, (await lookUp(session, path)).target, maximumBytes));
  const documents = new Map<string, Buffer>();
  for (const [path, maximumBytes] of [
    [authorityPath('devices'), maximumChainBytes],
    [authorityPath('codesign'), maximumChainBytes],
    [revocationsPath, revocationsFormat.maximumBytes],
    ...Object.keys(roles.get('channels')?.signed.targets ?? {}).map((path) => [path, channelFormat.maximumBytes]),
  ] as [string, number][])
    documents.set(path, await read(path, maximumBytes));
  const checkFile = (path: string, expected: FileCheck): Promise<void> => {
    const name = consistentTargetName(path, expected.sha256);
    return isUrl(place)
      ? checkRemoteFile(new URL(`targets/${name}`, serverAddress(place)), expected)
      : checkLocalFile(targetFile(place, name), expected);
  };
  return { session, roles, documents, read, checkFile };
}

const targetFile = (place: string, name: string): string => join(resolve(place), 'targets', ...name.split('/'));

/** @throws TRUST_DOCUMENT SOURCE_* FILE_READ */
async function fetchTarget(place: string, target: TargetFile): Promise<Buffer> {
  const name = consistentTargetName(target.path, target.sha256);
  if (isUrl(place)) return fetchDocument(new URL(`targets/${name}`, serverAddress(place)), target);
  const bytes = readLocal(targetFile(place, name), target.length, (what) => documentError(target.path, what));
  checkDocumentBytes(target, bytes);
  return bytes;
}

function readLocal(file: string, length: number, wrong: (what: string) => Error): Buffer {
  const { size } = statSync(file, { throwIfNoEntry: false }) ?? {};
  if (size === undefined) throw wrong('is listed and not there');
  if (size > length) throw wrong(`has more than the ${length} bytes that are listed`);
  const bytes = readIfPresent(file, length);
  if (!bytes) throw wrong('is listed and not there');
  return bytes;
}
