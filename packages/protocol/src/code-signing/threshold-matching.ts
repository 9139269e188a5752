/**
 * Decides who counts for which role when different signers must fill several roles. It is a bipartite matching, because taking
 * the first that fits can leave a later role empty although all could be filled. Signatures that share an identity or a key are
 * one signer.
 */

export interface Signer {
  readonly identity: string;
  /** sha256 of the SPKI. */
  readonly spki: string;
}

export interface SigningRole {
  readonly role: string;
  readonly identities: readonly string[];
  readonly threshold: number;
}

export interface Matching {
  /** Identities that fill each role. */
  readonly filled: Readonly<Record<string, readonly string[]>>;
  /** Roles that are short, with how many they have. */
  readonly short: readonly { readonly role: string; readonly have: number; readonly need: number }[];
}

/** Fills as many places as can be filled, each signer at most once. */
export function matchRoles(signers: readonly Signer[], roles: readonly SigningRole[]): Matching {
  const persons = mergeSigners(signers);
  const places = roles.flatMap((role) => Array.from({ length: role.threshold }, () => role));
  const placeOf = new Map<number, number>(); // person → place
  const fits = (person: number, place: number): boolean =>
    places[place]!.identities.some((id) => persons[person]!.has(id));
  const assign = (place: number, tried: Set<number>): boolean => {
    for (let person = 0; person < persons.length; person++) {
      if (tried.has(person) || !fits(person, place)) continue;
      tried.add(person);
      const held = placeOf.get(person);
      if (held === undefined || assign(held, tried)) {
        placeOf.set(person, place);
        return true;
      }
    }
    return false;
  };
  places.forEach((_, place) => assign(place, new Set()));
  const filled = Object.fromEntries(roles.map(({ role }) => [role, [] as string[]]));
  for (const [person, place] of placeOf) {
    const { role, identities } = places[place]!;
    filled[role]!.push(identities.find((id) => persons[person]!.has(id))!);
  }
  for (const list of Object.values(filled)) list.sort();
  const short = roles
    .filter(({ role, threshold }) => filled[role]!.length < threshold)
    .map(({ role, threshold }) => ({ role, have: filled[role]!.length, need: threshold }));
  return { filled, short };
}

/** Sets of identities, one for each group of signatures that are linked by an identity or a key. */
function mergeSigners(signers: readonly Signer[]): Set<string>[] {
  const groups: { identities: Set<string>; keys: Set<string> }[] = [];
  for (const { identity, spki } of signers) {
    const linked = groups.filter((group) => group.identities.has(identity) || group.keys.has(spki));
    const merged = { identities: new Set([identity]), keys: new Set([spki]) };
    for (const group of linked) {
      group.identities.forEach((id) => merged.identities.add(id));
      group.keys.forEach((key) => merged.keys.add(key));
      groups.splice(groups.indexOf(group), 1);
    }
    groups.push(merged);
  }
  return groups.map(({ identities }) => identities);
}
