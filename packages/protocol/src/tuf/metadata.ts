/**
 * Reads the metadata of the TUF specification 1.0.34 §4 from hostile bytes. Fields that the specification does not name are kept,
 * and the values are the parsed JSON itself. Records are looked into with `Object.hasOwn` only, so that a target named
 * `constructor` or `__proto__` is a target like any other. Reading is linear in the size of the file.
 */
import { Buffer } from 'node:buffer';
import { isObject } from '../canonical-json.ts';
import { canonicalOlpc } from '../olpc-json.ts';
import { escapeText } from '../text.ts';
import { parseTime } from './expiry.ts';
import { tufError } from './tuf-errors.ts';

export interface Key {
  readonly keytype: string;
  readonly scheme: string;
  readonly keyval: { readonly public: string };
}
export interface Role {
  readonly keyids: readonly string[];
  readonly threshold: number;
}
interface Signed {
  readonly spec_version: string;
  readonly version: number;
  readonly expires: string;
}
export interface Root extends Signed {
  readonly _type: 'root';
  readonly consistent_snapshot: boolean;
  readonly keys: Readonly<Record<string, Key>>;
  readonly roles: Readonly<Record<TopLevelRole, Role>>;
}
export interface MetaFile {
  readonly version: number;
  readonly length?: number;
  readonly hashes?: Readonly<Record<string, string>>;
}
export interface Timestamp extends Signed {
  readonly _type: 'timestamp';
  readonly meta: { readonly 'snapshot.json': MetaFile };
}
export interface Snapshot extends Signed {
  readonly _type: 'snapshot';
  readonly meta: Readonly<Record<string, MetaFile>>;
}
export interface DelegatedRole extends Role {
  readonly name: string;
  readonly terminating: boolean;
  readonly paths?: readonly string[];
  readonly path_hash_prefixes?: readonly string[];
}
export interface SuccinctRoles extends Role {
  readonly bit_length: number;
  readonly name_prefix: string;
}
export interface Delegations {
  readonly keys: Readonly<Record<string, Key>>;
  readonly roles?: readonly DelegatedRole[];
  readonly succinct_roles?: SuccinctRoles;
}
export interface Target {
  readonly length: number;
  readonly hashes: Readonly<Record<string, string>>;
  readonly custom?: unknown;
}
export interface Targets extends Signed {
  readonly _type: 'targets';
  readonly targets: Readonly<Record<string, Target>>;
  readonly delegations?: Delegations;
}
export type TopLevelRole = 'root' | 'timestamp' | 'snapshot' | 'targets';
const topLevelRoles: readonly TopLevelRole[] = ['root', 'timestamp', 'snapshot', 'targets'];

const fail = (what: string, fault: string) => tufError('TUF_FORMAT', `${escapeText(what)}: ${fault}`);
const isCount = (value: unknown, minimum: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= minimum;
const isTextList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** @throws TUF_FORMAT, as all of these */
export function readRoot(value: unknown, what = 'root'): Root {
  const signed = common(value, 'root', what);
  if (typeof signed.consistent_snapshot !== 'boolean') throw fail(what, 'consistent_snapshot is not true or false');
  checkKeys(signed.keys, what);
  const { roles } = signed;
  if (!isObject(roles)) throw fail(what, 'roles is no object');
  for (const name of topLevelRoles) if (!Object.hasOwn(roles, name)) throw fail(what, `it has no role ${name}`);
  for (const name of Object.keys(roles)) checkRole(roles[name], what);
  return signed as unknown as Root;
}

export function readTimestamp(value: unknown, what = 'timestamp'): Timestamp {
  const signed = common(value, 'timestamp', what);
  if (!isObject(signed.meta) || !Object.hasOwn(signed.meta, 'snapshot.json'))
    throw fail(what, 'meta has no snapshot.json');
  checkMetaFile(signed.meta['snapshot.json'], what);
  return signed as unknown as Timestamp;
}

export function readSnapshot(value: unknown, what = 'snapshot'): Snapshot {
  const signed = common(value, 'snapshot', what);
  if (!isObject(signed.meta)) throw fail(what, 'meta is no object');
  for (const name of Object.keys(signed.meta)) checkMetaFile(signed.meta[name], what);
  return signed as unknown as Snapshot;
}

export function readTargets(value: unknown, what = 'targets'): Targets {
  const signed = common(value, 'targets', what);
  if (!isObject(signed.targets)) throw fail(what, 'targets is no object');
  for (const path of Object.keys(signed.targets)) {
    const target = signed.targets[path];
    if (!isObject(target) || !isCount(target.length, 0)) throw fail(what, 'a target has no length');
    checkHashes(target.hashes, what);
  }
  if (signed.delegations !== undefined) checkDelegations(signed.delegations, what);
  return signed as unknown as Targets;
}

function common(value: unknown, type: string, what: string): Record<string, unknown> {
  if (!isObject(value)) throw fail(what, 'signed is no object');
  // §4.3: the file of one role never passes for that of another.
  if (value._type !== type) throw fail(what, `_type is not ${type}`);
  if (typeof value.spec_version !== 'string' || !/^1\.\d{1,6}(\.\d{1,6})?$/.test(value.spec_version))
    throw fail(what, 'spec_version is not 1.x');
  if (!isCount(value.version, 1)) throw fail(what, 'version is no positive integer');
  if (typeof value.expires !== 'string' || parseTime(value.expires) === undefined)
    throw fail(what, 'expires is no UTC time');
  return value;
}

function checkKeys(value: unknown, what: string): void {
  if (!isObject(value)) throw fail(what, 'keys is no object');
  for (const id of Object.keys(value)) {
    const key = value[id];
    if (!isObject(key) || typeof key.keytype !== 'string' || typeof key.scheme !== 'string')
      throw fail(what, 'a key has no keytype or no scheme');
    // A key of an unknown kind may store its material differently; it then verifies nothing.
    if (!isObject(key.keyval)) throw fail(what, 'a key has no keyval');
  }
}

function checkRole(value: unknown, what: string): asserts value is Record<string, unknown> {
  if (!isObject(value) || !isTextList(value.keyids)) throw fail(what, 'a role has no keyids');
  if (new Set(value.keyids).size !== value.keyids.length) throw fail(what, 'a role names a key id twice');
  if (!isCount(value.threshold, 1)) throw fail(what, 'a threshold is no positive integer');
}

function checkMetaFile(value: unknown, what: string): void {
  if (!isObject(value) || !isCount(value.version, 1)) throw fail(what, 'an entry of meta has no version');
  if (value.length !== undefined && !isCount(value.length, 0)) throw fail(what, 'a length in meta is no integer');
  if (value.hashes !== undefined) checkHashes(value.hashes, what);
}

/** An empty list of hashes would look like a check and check nothing. */
function checkHashes(value: unknown, what: string): void {
  if (!isObject(value)) throw fail(what, 'hashes is no object');
  let count = 0;
  for (const algorithm of Object.keys(value)) {
    if (typeof value[algorithm] !== 'string') throw fail(what, 'a hash is no text');
    count++;
  }
  if (count === 0) throw fail(what, 'hashes is empty');
}

function checkDelegations(value: unknown, what: string): void {
  if (!isObject(value)) throw fail(what, 'delegations is no object');
  checkKeys(value.keys, what);
  const { roles, succinct_roles: succinct } = value;
  // §4.5: exactly one of the two.
  if ((roles === undefined) === (succinct === undefined))
    throw fail(what, 'delegations has not exactly one of roles and succinct_roles');
  if (succinct !== undefined) {
    checkRole(succinct, what);
    if (!isCount(succinct.bit_length, 1) || succinct.bit_length > 32) throw fail(what, 'bit_length is not 1 to 32');
    if (typeof succinct.name_prefix !== 'string') throw fail(what, 'succinct_roles has no name_prefix');
    return;
  }
  if (!Array.isArray(roles)) throw fail(what, 'roles is no list');
  const names = new Set<string>();
  for (const role of roles as unknown[]) names.add(checkDelegatedRole(role, what));
  if (names.size !== roles.length) throw fail(what, 'a role is delegated to twice');
}

function checkDelegatedRole(role: unknown, what: string): string {
  checkRole(role, what);
  if (typeof role.name !== 'string' || role.name === '') throw fail(what, 'a delegated role has no name');
  // A delegated role must not stand in for a top-level one.
  if ((topLevelRoles as readonly string[]).includes(role.name)) throw fail(what, `it delegates to ${role.name}`);
  if (typeof role.terminating !== 'boolean') throw fail(what, 'terminating is not true or false');
  const { paths, path_hash_prefixes: prefixes } = role;
  if ((paths === undefined) === (prefixes === undefined))
    throw fail(what, 'a delegation has not exactly one of paths and path_hash_prefixes');
  if (!isTextList(paths ?? prefixes)) throw fail(what, 'paths is no list of texts');
  return role.name;
}

/** The bytes that are signed: the OLPC canonical form. @throws FORMAT_JSON */
export const signedBytes = (signed: object): Buffer => canonicalOlpc(signed);

/**
 * The wire form: sorted keys, no white space, valid JSON even where a text has a newline (the canonical form is then not JSON).
 * `signed` is written in the order in which it is signed, so that a reader need not serialise it again.
 */
export function serialize(
  signed: object,
  signatures: readonly { readonly keyid: string; readonly sig: string }[],
): Buffer {
  const list = [...signatures].sort((a, b) => (a.keyid < b.keyid ? -1 : 1)).map(({ keyid, sig }) => ({ keyid, sig }));
  return Buffer.from(`{"signatures":${JSON.stringify(list)},"signed":${sortedJson(signed)}}`, 'utf8');
}

function sortedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value).filter((key) => value[key] !== undefined);
  keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${keys.map((key) => `${JSON.stringify(key)}:${sortedJson(value[key])}`).join(',')}}`;
}

/** The name a role's metadata has in the repository (§6.2.1 with consistent snapshots, otherwise without a version). */
export function metadataFileName(role: string, version?: number): string {
  const name = `${encodeURIComponent(role)}.json`;
  return version === undefined ? name : `${version}.${name}`;
}
