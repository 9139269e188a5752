/**
 * Applies the answers to a plan: what is then really installed. A component whose required capability was refused stays as it is,
 * and so does everything that needed its new version. Never grants what was not asked and answered.
 */
import type { Manifest } from '../release/manifest.ts';
import type { ApprovalDecision } from './approval.ts';
import type { Grant } from './capability-diff.ts';
import type { Plan, PlanStep } from './plan.ts';
import { unsatisfied } from './release-choice.ts';

export interface DecidedStep {
  readonly step: PlanStep;
  /** Every capability that is granted once the step is done. */
  readonly grants: readonly Grant[];
  /** What this answer keeps off. */
  readonly declined: readonly Grant[];
}

export interface DecidedPlan {
  readonly steps: readonly DecidedStep[];
  /** Steps that are not carried out, and why. */
  readonly dropped: readonly { readonly component: string; readonly reason: string }[];
}

/**
 * `installed` and `planned` hold the manifests of what runs now and of what the plan's steps lead to, by component. `decisions` are
 * those of a checked approval record: one for each that the plan asks.
 */
export function decidePlan(
  plan: Plan,
  decisions: readonly ApprovalDecision[],
  installed: ReadonlyMap<string, Manifest>,
  planned: ReadonlyMap<string, Manifest>,
): DecidedPlan {
  const granted = new Set(
    decisions.filter(({ grant }) => grant).map(({ component, capability }) => `${component}/${capability}`),
  );
  const dropped: { component: string; reason: string }[] = [];
  let left = plan.steps.filter((step) => {
    const refused = step.decisions.find(
      ({ capability, required }) => required && !granted.has(`${step.component}/${capability}`),
    );
    if (refused)
      dropped.push({ component: step.component, reason: `it needs ${refused.capability}, which was kept off` });
    return refused === undefined;
  });
  for (;;) {
    const broken = new Set(unsatisfied(running(left, installed, planned)));
    const culprit = firstCulprit(left, broken, installed, planned);
    if (culprit === undefined) break;
    dropped.push({ component: culprit, reason: 'what it needs is not installed with it' });
    left = left.filter(({ component }) => component !== culprit);
  }
  return { steps: left.map((step) => decideStep(step, granted)), dropped };
}

function running(
  steps: readonly PlanStep[],
  installed: ReadonlyMap<string, Manifest>,
  planned: ReadonlyMap<string, Manifest>,
): Map<string, Manifest> {
  const result = new Map(installed);
  for (const { component, to } of steps) {
    const manifest = planned.get(component);
    if (to === null || manifest === undefined) result.delete(component);
    else result.set(component, manifest);
  }
  return result;
}

/** A step to drop so that the rest is consistent: one that is broken itself, else one whose absence repairs what is broken. */
function firstCulprit(
  steps: readonly PlanStep[],
  broken: ReadonlySet<string>,
  installed: ReadonlyMap<string, Manifest>,
  planned: ReadonlyMap<string, Manifest>,
): string | undefined {
  if (broken.size === 0) return undefined;
  const own = steps.find(({ component }) => broken.has(component));
  if (own) return own.component;
  const mending = steps.find(
    ({ component }) =>
      unsatisfied(
        running(
          steps.filter((step) => step.component !== component),
          installed,
          planned,
        ),
      ).length < broken.size,
  );
  return mending?.component ?? steps[0]?.component;
}

function decideStep(step: PlanStep, granted: ReadonlySet<string>): DecidedStep {
  const { component } = step;
  const asGrant =
    (state: Grant['state']) =>
    ({ capability, contract, risk, scope }: Pick<Grant, 'capability' | 'contract' | 'risk' | 'scope'>): Grant => ({
      component,
      capability,
      contract,
      risk,
      scope,
      state,
    });
  const isOn = ({ capability }: { capability: string }): boolean => granted.has(`${component}/${capability}`);
  return {
    step,
    grants: [...step.kept, ...step.decisions.filter(isOn)].map(asGrant('granted')),
    declined: step.decisions.filter((decision) => !isOn(decision)).map(asGrant('declined')),
  };
}
