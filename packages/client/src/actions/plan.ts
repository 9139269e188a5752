/** `countersign-device check|plan|approve|decline|hold`: what is on offer here, and a person's answer to it. */
import { shortDigest } from '@countersign/protocol';
import type { Command } from 'commander';
import { writeDurable } from '@countersign/protocol/node';
import { canAsk, type Terminal } from '@countersign/protocol/terminal';
import type { Answer, Answers } from '../consent/approval-record.ts';
import { signAnswer, type RecordedAnswer } from '../consent/approvals.ts';
import { decisionsTemplate, readDecisionsFile } from '../consent/decisions-file.ts';
import { findPlan, planReleases } from '../consent/plan-releases.ts';
import { describePlan } from '../consent/plan-text.ts';
import { lastOmissions } from '../consent/planning.ts';
import { wrap } from '../consent/text-layout.ts';
import type { Device } from '../device/device.ts';
import { clientError } from '../device/errors.ts';
import type { StoredPlan } from '../generations/plans.ts';
import { handlersOf } from '../service/handlers.ts';
import { perform } from '../service/intents.ts';
import type { PollResult } from '../service/polling.ts';
import { askAccount, askDecisions, askReason, screenWidth } from './approval-questions.ts';
import { printPoll } from './poll-words.ts';
import { signPersonIn, withDevice, type PersonOptions } from './session.ts';

interface AnswerOptions extends PersonOptions {
  readonly decisions?: string;
  readonly language: string;
  readonly reason?: string;
}

interface PlanOptions {
  readonly language: string;
  readonly decisionsTemplate?: string;
  readonly remove?: string[];
}

export const check = (_: unknown, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const result = await perform<PollResult>(device, handlersOf(device), 'check', {});
    terminal.answer(result, () => printPoll(terminal, result));
  });

export const plan = (options: PlanOptions, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    if (options.remove) await perform(device, handlersOf(device), 'request', { removals: options.remove });
    const stored = findPlan(device, undefined);
    const { digest, plan, state, reason, until } = stored;
    if (options.decisionsTemplate !== undefined)
      writeDurable(options.decisionsTemplate, `${JSON.stringify(decisionsTemplate(plan, digest), null, 2)}\n`);
    const omitted = lastOmissions(device);
    terminal.answer({ plan: digest, state, reason, until, body: plan, omitted }, () => {
      const lines = wordsOf(device, stored, options.language);
      for (const line of process.stdout.isTTY ? wrap(lines, screenWidth()) : lines) terminal.print(line);
      terminal.print(`\nstate: ${state}${reason === null ? '' : ` (${reason})`}${until ? ` until ${until}` : ''}`);
      for (const one of omitted)
        terminal.print(`left out: ${one.component} ${one.version}: ${one.reason} (${one.code})`);
      if (options.decisionsTemplate === undefined)
        terminal.note(`to answer it: countersign-device approve ${shortDigest(digest)}`);
    });
  });

export const approve = (name: string, options: AnswerOptions, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const stored = findPlan(device, name);
    const recorded = await sign(device, terminal, options, {
      plan: stored.digest,
      answer: 'approve',
      ...(await answersFor(device, terminal, stored, options)),
      language: options.language,
      shown: wordsOf(device, stored, options.language).join('\n'),
    });
    terminal.answer(recorded, () => {
      terminal.print(`plan ${shortDigest(recorded.plan)} is ${recorded.state}`);
      if (recorded.state === 'approved')
        terminal.note('the running service installs it; without one: countersign-device install');
      else terminal.note(`${recorded.needed - recorded.signed} more person must approve the same decisions`);
    });
  });

export const decline = (name: string, options: AnswerOptions, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const stored = findPlan(device, name);
    const reason = await reasonFor(terminal, options.reason, 'Why is it declined?');
    const recorded = await sign(device, terminal, options, {
      plan: stored.digest,
      answer: 'decline',
      decisions: [],
      terms: [],
      language: options.language,
      shown: wordsOf(device, stored, options.language).join('\n'),
      reason,
    });
    terminal.answer(recorded, () => terminal.print(`plan ${shortDigest(recorded.plan)} is declined`));
  });

export const hold = (name: string, options: { reason?: string; until?: string }, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const { digest } = findPlan(device, name);
    const reason = await reasonFor(terminal, options.reason, 'Why is it put off?');
    const until = options.until ?? null;
    const held = await perform<object>(device, handlersOf(device), 'hold', { plan: digest, reason, until });
    terminal.answer(held, () => terminal.print(`plan ${shortDigest(digest)} is held${until ? ` until ${until}` : ''}`));
  });

const wordsOf = (device: Device, { plan, digest }: StoredPlan, language: string): string[] =>
  describePlan(plan, digest, planReleases(device, plan, language));

async function answersFor(
  device: Device,
  terminal: Terminal,
  { plan, digest }: StoredPlan,
  { decisions, language }: AnswerOptions,
): Promise<Answers> {
  if (decisions !== undefined) return readDecisionsFile(decisions, plan, digest);
  if (!canAsk(terminal))
    throw clientError('INPUT_NEEDED', 'the decisions are not given and nobody can be asked', {
      hint: 'give --decisions FILE (countersign-device plan --decisions-template FILE writes one), or use a terminal',
    });
  return askDecisions(terminal, plan, digest, planReleases(device, plan, language));
}

/** The password is typed and used here; what goes to the service is only the signed record. */
async function sign(
  device: Device,
  terminal: Terminal,
  options: AnswerOptions,
  answer: Answer,
): Promise<RecordedAnswer> {
  const account = options.account ?? (canAsk(terminal) ? await askAccount() : undefined);
  const person = await signPersonIn(device, terminal, { ...options, account });
  return perform(device, handlersOf(device), 'answer', signAnswer(device, answer, person));
}

async function reasonFor(terminal: Terminal, given: string | undefined, question: string): Promise<string> {
  if (given !== undefined) return given;
  if (canAsk(terminal)) return askReason(question);
  throw clientError('INPUT_NEEDED', 'a reason is needed and nobody can be asked', { hint: 'give --reason TEXT' });
}
