/**
 * Compares scopes. Arrays are sets and a subset is narrower; every other value must be equal. Fail closed: a key that stands on
 * one side only counts as widening, because its absence could mean nothing or everything.
 */
import type { Scope } from '../text.ts';

export type ScopeChange = 'equal' | 'narrowed' | 'widened';

/** How `next` compares with what was granted. */
export function compareScopes(granted: Scope, next: Scope): ScopeChange {
  const keys = Object.keys(granted);
  if (keys.length !== Object.keys(next).length) return 'widened'; // check: more or fewer keys
  let change: ScopeChange = 'equal';
  for (const key of keys) {
    const before = granted[key]!;
    const after = Object.hasOwn(next, key) ? next[key] : undefined;
    if (Array.isArray(before) && Array.isArray(after)) {
      if (after.some((item) => !before.includes(item))) return 'widened'; // check: more of it
      if (new Set(after).size < new Set(before).size) change = 'narrowed';
    } else if (before !== after) return 'widened'; // check: another value
  }
  return change;
}
