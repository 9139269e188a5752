/**
 * The two-person rule: at least two people, by the codesign chain, stand behind the TUF signatures of a component's role and the
 * code signatures of its release. A key or identity that no person owns does not count.
 */
import type { CodesignAuthority } from '../authority/authority.ts';
import { codesignError } from './codesign-errors.ts';

/** The person who owns a TUF key or an identity; undefined where nobody does. */
function personOf(authority: CodesignAuthority, kind: 'keys' | 'identities', id: string): string | undefined {
  return Object.entries(authority.persons).find(([, person]) => person[kind].includes(id))?.[0];
}

/**
 * `tufKeyIds` signed the component's role and were verified; `identities` signed the statement and were verified.
 * @throws CODESIGN_ONE_PERSON
 */
export function checkTwoPersons(
  authority: CodesignAuthority,
  component: string,
  tufKeyIds: readonly string[],
  identities: readonly string[],
): string[] {
  const find = (kind: 'keys' | 'identities', ids: readonly string[]): string[] =>
    ids.map((id) => personOf(authority, kind, id)).filter((person) => person !== undefined);
  const publishers = find('keys', tufKeyIds);
  const signers = find('identities', identities);
  const persons = [...new Set([...publishers, ...signers])].sort();
  if (publishers.length === 0 || signers.length === 0 || persons.length < 2)
    throw codesignError(
      'CODESIGN_ONE_PERSON',
      `behind ${component} stand ${persons.length === 0 ? 'no known people' : persons.join(', ')}, expected two on both sides together`,
    );
  return persons;
}
