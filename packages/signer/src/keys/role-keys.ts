/** Reads the keys of a role from the names that people give. */
import { keyIdOf, keyMaterial, type PublicKey } from '@countersign/protocol';
import { signerError } from '../workspace/errors.ts';
import { readPublicKey } from './key-uris.ts';

export interface RoleKeys {
  readonly keys: Readonly<Record<string, PublicKey>>;
  readonly threshold: number;
}

const maximumKeys = 16;

/** @throws ROLE_KEYS KEY_* */
export function roleKeys(workspace: string, role: string, names: readonly string[], threshold: number): RoleKeys {
  const keys = names.map((name) => readPublicKey(workspace, name));
  const different = new Set(keys.map((key) => keyMaterial(key)));
  const wrong = (what: string): Error => signerError('ROLE_KEYS', `role ${role}: ${what}`);
  if (keys.length === 0) throw wrong('no key is named');
  if (keys.length > maximumKeys) throw wrong(`${keys.length} keys are named, allowed are ${maximumKeys}`);
  if (different.size !== keys.length) throw wrong('one key is named twice');
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > keys.length)
    throw wrong(`threshold ${threshold} does not fit ${keys.length} keys`);
  return { keys: Object.fromEntries(keys.map((key) => [keyIdOf(key), key])), threshold };
}
