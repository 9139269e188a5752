/**
 * Chooses a release of each component: the newest set that satisfies every `requires`, by a bounded search in a fixed order
 * (components by name, newest first). A component that cannot be updated with the others stays as it is.
 */
import semver from 'semver';
import type { Manifest } from '../release/manifest.ts';
import { planError } from './plan-errors.ts';
import type { Candidate, Omission, RunningComponent } from './plan-input.ts';

export type Choice =
  | { readonly kind: 'candidate'; readonly candidate: Candidate }
  | { readonly kind: 'keep' }
  | { readonly kind: 'remove' }
  | { readonly kind: 'absent' };

const maximumTries = 100_000;

interface Option {
  readonly choice: Choice;
  /** What runs after the choice; null where the component is absent. */
  readonly manifest: Manifest | null;
}

/** @throws PLAN_TOO_COMPLEX */
export function chooseReleases(
  installed: readonly RunningComponent[],
  candidates: readonly Candidate[],
  removals: ReadonlySet<string>,
): { choices: ReadonlyMap<string, Choice>; omitted: Omission[] } {
  const names = [
    ...new Set([...installed.map(({ component }) => component), ...candidates.map(({ offer }) => offer.component)]),
  ].sort();
  const options = names.map((name) => optionsFor(name, installed, candidates, removals));
  const picked = search(names, options);
  const choices = new Map<string, Choice>();
  const omitted: Omission[] = [];
  for (const [index, name] of names.entries()) {
    // If no set is consistent, every component stays as it is.
    const option = picked?.[index] ?? { choice: { kind: 'keep' } as const, manifest: null };
    choices.set(name, option.choice);
    const best = options[index]![0]!;
    if (best.choice !== option.choice && best.choice.kind === 'candidate')
      omitted.push({
        component: name,
        version: best.choice.candidate.offer.version,
        code: 'PLAN_REQUIRES',
        reason: 'what it requires, or what requires another version of it, does not fit',
      });
    if (picked === null && removals.has(name))
      omitted.push({ component: name, version: '', code: 'PLAN_REQUIRES', reason: 'another component requires it' });
  }
  return { choices, omitted };
}

function optionsFor(
  name: string,
  installed: readonly RunningComponent[],
  candidates: readonly Candidate[],
  removals: ReadonlySet<string>,
): Option[] {
  const current = installed.find(({ component }) => component === name);
  if (removals.has(name)) return [{ choice: { kind: 'remove' }, manifest: null }];
  const offered = candidates
    .filter(({ offer }) => offer.component === name)
    .sort((a, b) => semver.rcompare(a.offer.version, b.offer.version) || preferPlatform(a, b))
    .map((candidate): Option & { older: boolean; down: boolean } => ({
      choice: { kind: 'candidate', candidate },
      manifest: candidate.manifest,
      older: current !== undefined && semver.lt(candidate.offer.version, current.version),
      down: candidate.offer.downgrade === true,
    }));
  const stay: Option = current
    ? { choice: { kind: 'keep' }, manifest: current.manifest }
    : { choice: { kind: 'absent' }, manifest: null };
  // An older release is preferred to staying only where the channel asks for the downgrade.
  return [...offered.filter(({ older, down }) => !older || down), stay];
}

/** The build for this platform goes before the one for any platform. */
const preferPlatform = (a: Candidate, b: Candidate): number =>
  Number(a.offer.platform === 'any') - Number(b.offer.platform === 'any');

/** The first complete set in which every requirement holds; null where there is none. */
function search(names: readonly string[], options: readonly Option[][]): Option[] | null {
  const indexOf = new Map(names.map((name, index) => [name, index]));
  const picked: Option[] = [];
  let tries = 0;
  const holds = (manifest: Manifest): boolean =>
    Object.entries(manifest.requires).every(([name, range]) => {
      const index = indexOf.get(name);
      if (index === undefined) return false;
      // Not picked yet: judged when it is.
      if (index >= picked.length) return true;
      const other = picked[index]!.manifest;
      return other !== null && semver.satisfies(other.version, range);
    });
  const extend = (): boolean => {
    if (picked.length === names.length) return true;
    for (const option of options[picked.length]!) {
      if (++tries > maximumTries)
        throw planError('PLAN_TOO_COMPLEX', `more than ${maximumTries} combinations of ${names.length} components`);
      picked.push(option);
      if (picked.every(({ manifest }) => manifest === null || holds(manifest)) && extend()) return true;
      picked.pop();
    }
    return false;
  };
  return extend() ? picked : null;
}

/** Names of components whose requirements do not hold in the set. */
export const unsatisfied = (running: ReadonlyMap<string, Manifest>): string[] =>
  [...running]
    .filter(([, manifest]) =>
      Object.entries(manifest.requires).some(([name, range]) => {
        const other = running.get(name);
        return other === undefined || !semver.satisfies(other.version, range);
      }),
    )
    .map(([name]) => name);
