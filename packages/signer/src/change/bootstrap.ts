/**
 * Makes the first change of a repository: root 1, targets with its three fixed roles, both authorities, no revocation, an empty
 * channel.
 */
import {
  channelFormat,
  channelPath,
  channelType,
  keyIdOf,
  PublicKey,
  format,
  parseJson,
  revocationsFormat,
  revocationsPath,
  type AuthorityBodies,
  noRevocations,
} from '@countersign/protocol';
import { readIfPresent } from '@countersign/protocol/node';
import Type from 'typebox';
import type { RoleKeys } from '../keys/role-keys.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { proposeLine } from './chains.ts';
import { delegate, editDocument, newRoot, emptyTargets, writeVersion } from './change-edits.ts';

type Draft<K extends keyof AuthorityBodies> = Omit<AuthorityBodies[K], 'version' | 'issued' | '_type'>;

export interface Bootstrap {
  readonly roles: Readonly<Record<'root' | 'targets' | 'authority' | 'revocations' | 'channels', RoleKeys>>;
  readonly online: PublicOnlineKeys;
  readonly codesign: Draft<'codesign'>;
  readonly devices: Draft<'devices'>;
  readonly channel: string;
}

const Keys = Type.Array(PublicKey, { minItems: 1, maxItems: 4 });
const onlineKeysFormat = format(
  'online keys',
  Type.Object({ snapshot: Keys, timestamp: Keys }, { additionalProperties: false }),
);
export interface PublicOnlineKeys {
  readonly snapshot: readonly PublicKey[];
  readonly timestamp: readonly PublicKey[];
}

/** What `countersign-server init` wrote. @throws ONLINE_KEYS_FILE */
export function readPublicOnlineKeys(file: string): PublicOnlineKeys {
  const bytes = readIfPresent(file, 1 << 16);
  if (!bytes) throw signerError('ONLINE_KEYS_FILE', `${file} is missing`);
  try {
    return onlineKeysFormat.check(parseJson(bytes, file, 1 << 16), file);
  } catch (cause) {
    throw signerError('ONLINE_KEYS_FILE', `${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Writes the pending change; nothing is signed yet. */
export function bootstrap(
  workspace: Workspace,
  { roles, online, codesign, devices, channel }: Bootstrap,
  now: Date,
): void {
  const onlineRole = (keys: readonly PublicKey[]): RoleKeys => ({
    keys: Object.fromEntries(keys.map((key) => [keyIdOf(key), key])),
    threshold: 1,
  });
  const rows = {
    root: roles.root,
    targets: roles.targets,
    snapshot: onlineRole(online.snapshot),
    timestamp: onlineRole(online.timestamp),
  };
  const root = newRoot(
    Object.assign({}, ...Object.values(rows).map(({ keys }) => keys)) as RoleKeys['keys'],
    {
      root: rowOf(rows.root),
      targets: rowOf(rows.targets),
      snapshot: rowOf(rows.snapshot),
      timestamp: rowOf(rows.timestamp),
    },
    now,
  );
  writeVersion(workspace, 'root', root, now);
  writeVersion(workspace, 'targets', emptyTargets('targets', now), now);
  for (const name of ['authority', 'revocations', 'channels'] as const) delegate(workspace, name, roles[name], now);
  editDocument(workspace, 'revocations', revocationsPath, revocationsFormat.serialize(noRevocations), now);
  const empty = { _type: channelType, channel, offers: [], blocked: [] } as const;
  editDocument(
    workspace,
    'channels',
    channelPath(channel),
    channelFormat.serialize({ ...empty, offers: [], blocked: [] }),
    now,
  );
  proposeLine(workspace, 'codesign', codesign, now);
  proposeLine(workspace, 'devices', devices, now);
}

const rowOf = ({ keys, threshold }: RoleKeys) => ({ keyids: Object.keys(keys), threshold });
