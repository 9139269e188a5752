/**
 * The approval on a terminal: the plan in words, the terms to read, then one question for each capability whose default is to
 * keep it off, then who signs. Nothing is signed before the last question; leaving at any question changes nothing.
 */
import { confirm, isCancel, select, text } from '@clack/prompts';
import { textFor, type Plan } from '@countersign/protocol';
import type { Terminal } from '@countersign/protocol/terminal';
import type { Answers } from '../consent/approval-record.ts';
import { describeDecision, describePlan, type PlanReleases } from '../consent/plan-text.ts';
import { paragraphs, wrap } from '../consent/text-layout.ts';
import { clientError } from '../device/errors.ts';

const orCancel = <T>(answer: T): Exclude<T, symbol> => {
  if (isCancel(answer)) throw clientError('CANCELLED', 'the person ended the question');
  return answer as Exclude<T, symbol>;
};

/** The number of columns to fill: as many as are easy to read. */
export const screenWidth = (): number => Math.min(Math.max(process.stdout.columns || 100, 40), 110);

/** Shows the plan and asks each decision. */
export async function askDecisions(
  terminal: Terminal,
  plan: Plan,
  planDigest: string,
  releases: PlanReleases,
): Promise<Answers> {
  const show = (lines: readonly string[]): void => wrap(lines, screenWidth()).forEach((line) => terminal.print(line));
  show([...describePlan(plan, planDigest, releases), '']);
  const terms: { component: string; version: string }[] = [];
  const decisions: { component: string; capability: string; grant: boolean }[] = [];
  for (const step of plan.steps) {
    if (step.terms) {
      const words = releases.texts.get(step.component)?.terms ?? {};
      show([
        `Terms ${step.terms.version} of ${step.component}`,
        '',
        ...paragraphs(textFor(words, releases.language), '  '),
        '',
      ]);
      const accepted = orCancel(
        await confirm({ message: `Accept terms ${step.terms.version} of ${step.component}?`, initialValue: false }),
      );
      if (!accepted)
        throw clientError('CANCELLED', `terms ${step.terms.version} of ${step.component} were not accepted`);
      terms.push({ component: step.component, version: step.terms.version });
    }
    for (const decision of step.decisions) {
      show(describeDecision(decision, releases.manifests.get(step.component), releases.language));
      const answer = orCancel(
        await select({
          message: `${step.component}: ${decision.capability}`,
          options: [
            { value: 'off', label: 'keep off' },
            { value: 'on', label: 'turn on' },
          ],
          initialValue: 'off',
        }),
      );
      decisions.push({ component: step.component, capability: decision.capability, grant: answer === 'on' });
    }
  }
  return { decisions, terms };
}

/** Asks which account signs. */
export const askAccount = async (): Promise<string> =>
  orCancel(
    await text({
      message: 'Account that signs',
      validate: (value) => (value ? undefined : 'an account name is needed'),
    }),
  );

/** Asks for a reason in the person's own words. */
export const askReason = async (message: string): Promise<string> =>
  orCancel(await text({ message, validate: (value) => (value ? undefined : 'a few words are needed') }));
