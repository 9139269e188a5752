/**
 * `--decisions FILE`: a person's answers to one plan, for use without a terminal: `{planDigest, decisions, terms}`. It must hold
 * every decision and every term that the plan asks, and nothing else. Never takes a default for a missing one: that is an error.
 */
import {
  closed,
  shortDigest,
  CapabilityId,
  codeOf,
  ComponentName,
  parseJson,
  Sha256,
  format,
  type Plan,
} from '@countersign/protocol';
import Type, { type Static } from 'typebox';
import { readIfPresent } from '@countersign/protocol/node';
import { clientError } from '../device/errors.ts';
import type { Answers } from './approval-record.ts';

const DecisionsFile = Type.Object(
  {
    planDigest: Sha256,
    decisions: Type.Array(
      Type.Object({ component: ComponentName, capability: CapabilityId, grant: Type.Boolean() }, closed),
      { maxItems: 2000 },
    ),
    terms: Type.Array(
      Type.Object(
        { component: ComponentName, version: Type.String({ maxLength: 32 }), accepted: Type.Boolean() },
        closed,
      ),
      { maxItems: 200 },
    ),
  },
  closed,
);
export type DecisionsFile = Static<typeof DecisionsFile>;
const decisionsFormat = format('decisions file', DecisionsFile);
const maximumBytes = 1 << 20;

/** A file to fill in: everything that the plan asks, with each capability kept off and no terms accepted. */
export function decisionsTemplate(plan: Plan, planDigest: string): DecisionsFile {
  return {
    planDigest,
    decisions: plan.steps.flatMap(({ component, decisions }) =>
      decisions.map(({ capability }) => ({ component, capability, grant: false })),
    ),
    terms: plan.steps.flatMap(({ component, terms }) =>
      terms ? [{ component, version: terms.version, accepted: false }] : [],
    ),
  };
}

/** Reads and checks the file against the plan. @throws DECISIONS_FILE naming what is wrong */
export function readDecisionsFile(file: string, plan: Plan, planDigest: string): Answers {
  const wrong = (what: string, cause?: unknown): Error => clientError('DECISIONS_FILE', `${file}: ${what}`, { cause });
  const bytes = readIfPresent(file, maximumBytes);
  if (!bytes) throw wrong('there is no such file');
  let answers: DecisionsFile;
  try {
    answers = decisionsFormat.check(parseJson(bytes, file, maximumBytes), file);
  } catch (error) {
    throw wrong(error instanceof Error && codeOf(error) ? error.message : 'it cannot be read', error);
  }
  if (answers.planDigest !== planDigest)
    throw wrong(`it answers plan ${shortDigest(answers.planDigest)}, the plan is ${shortDigest(planDigest)}`);
  const asked = decisionsTemplate(plan, planDigest);
  checkSame(
    asked.decisions.map(({ component, capability }) => `${component}/${capability}`),
    answers.decisions.map(({ component, capability }) => `${component}/${capability}`),
    wrong,
  );
  checkSame(
    asked.terms.map(({ component, version }) => `terms ${version} of ${component}`),
    answers.terms.map(({ component, version }) => `terms ${version} of ${component}`),
    wrong,
  );
  const refused = answers.terms.find(({ accepted }) => !accepted);
  if (refused)
    throw wrong(`terms ${refused.version} of ${refused.component} are not accepted; without them decline the plan`);
  return { decisions: answers.decisions, terms: answers.terms };
}

function checkSame(asked: readonly string[], given: readonly string[], wrong: (what: string) => Error): void {
  const missing = asked.find((name) => !given.includes(name));
  if (missing !== undefined) throw wrong(`it does not answer ${missing}`);
  const extra = given.find((name, index) => !asked.includes(name) || given.indexOf(name) !== index);
  if (extra !== undefined) throw wrong(`it answers ${extra}, which the plan does not ask, or twice`);
}
