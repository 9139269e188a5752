/**
 * Decides which roles may list a target path (§4.5): patterns, hash prefixes, succinct bins. A search asks a role only for paths
 * that its delegator gave it; nothing else depends on the paths.
 */
import { createHash } from 'node:crypto';
import type { Delegations, Key, Role } from './metadata.ts';

export interface Delegate {
  readonly name: string;
  readonly terminating: boolean;
}

/** The roles to which this path is delegated, in order, up to and including the first terminating one. */
export function delegatesOf(delegations: Delegations, path: string): Delegate[] {
  const { roles, succinct_roles: succinct } = delegations;
  if (succinct !== undefined) {
    const bin = digest(path).readUInt32BE(0) >>> (32 - succinct.bit_length);
    return [{ name: binName(succinct.name_prefix, succinct.bit_length, bin), terminating: true }];
  }
  const found: Delegate[] = [];
  let hex: string | undefined;
  for (const { name, terminating, paths, path_hash_prefixes: prefixes } of roles ?? []) {
    const fits = paths
      ? paths.some((pattern) => matchesPattern(path, pattern))
      : prefixes?.some((prefix) => (hex ??= digest(path).toString('hex')).startsWith(prefix)) === true;
    if (!fits) continue;
    found.push({ name, terminating });
    if (terminating) break;
  }
  return found;
}

const digest = (path: string): Buffer => createHash('sha256').update(path, 'utf8').digest();

/** §4.5 (TAP 15): the bin's number in as many hex digits as the last bin needs. */
export const binName = (prefix: string, bitLength: number, bin: number): string =>
  `${prefix}-${bin.toString(16).padStart((2 ** bitLength - 1).toString(16).length, '0')}`;

/** The keys and threshold that a delegator gives to a role; undefined where it does not delegate to it. */
export function delegatedRole(
  delegations: Delegations,
  name: string,
): { role: Role; keys: Readonly<Record<string, Key>> } | undefined {
  const { roles, succinct_roles: succinct, keys } = delegations;
  if (succinct !== undefined)
    return isBin(succinct.name_prefix, succinct.bit_length, name) ? { role: succinct, keys } : undefined;
  const role = roles?.find((candidate) => candidate.name === name);
  return role && { role, keys };
}

function isBin(prefix: string, bitLength: number, name: string): boolean {
  const suffix = name.slice(prefix.length + 1);
  return (
    /^[0-9a-f]{1,8}$/.test(suffix) &&
    binName(prefix, bitLength, parseInt(suffix, 16)) === name &&
    parseInt(suffix, 16) < 2 ** bitLength
  );
}

/**
 * Unix file name matching of a path, segment by segment: `*` is any run of characters and `?` any one, neither crosses `/`.
 * Everything else stands for itself, brackets too. The time is at most proportional to path × pattern.
 */
export function matchesPattern(path: string, pattern: string): boolean {
  const segments = path.split('/');
  const patterns = pattern.split('/');
  return (
    segments.length === patterns.length &&
    segments.every((segment, i) => matchesSegment([...segment], [...patterns[i]!]))
  );
}

function matchesSegment(text: readonly string[], pattern: readonly string[]): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let retry = 0;
  while (at < text.length) {
    if (pattern[next] === '*') {
      star = next++;
      retry = at;
    } else if (next < pattern.length && (pattern[next] === '?' || pattern[next] === text[at])) {
      next++;
      at++;
    } else if (star !== -1) {
      next = star + 1;
      at = ++retry;
    } else return false;
  }
  while (pattern[next] === '*') next++;
  return next === pattern.length;
}
