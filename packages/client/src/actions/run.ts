/** `countersign-device run|install|rollback`: what changes the running generation. */
import type { Command } from 'commander';
import type { ProgressBar, Terminal } from '@countersign/protocol/terminal';
import { findPlan } from '../consent/plan-releases.ts';
import type { PlanOutcome } from '../generations/plans.ts';
import type { InstallOutcome, InstallProgress } from '../installing/install-flow.ts';
import { handlersOf } from '../service/handlers.ts';
import { perform } from '../service/intents.ts';
import { serve } from '../service/service.ts';
import { askerOf, withDevice, type PersonOptions } from './session.ts';

export const run = (options: { pollSeconds: number }, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const stop = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
    await serve(device, {
      pollSeconds: options.pollSeconds,
      signal: stop.signal,
      onEvent: (event) => terminal.answer(event, () => terminal.print(wordsOf(event))),
    });
  });

export const install = (name: string | undefined, _: unknown, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const plan = name === undefined ? null : findPlan(device, name).digest;
    const { onProgress, end } = progressOn(terminal);
    const handlers = handlersOf(device, { onProgress });
    const outcome = await perform<InstallOutcome>(device, handlers, 'install', { plan }).finally(end);
    tell(terminal, outcome, outcome.running);
  });

export const rollback = (options: PersonOptions, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const asker = await askerOf(device, terminal, options);
    const { onProgress, end } = progressOn(terminal);
    const handlers = handlersOf(device, { onProgress });
    const outcome = await perform<PlanOutcome>(device, handlers, 'rollback', asker).finally(end);
    tell(terminal, outcome, outcome.generation);
  });

/** A change that was taken back because a component was not well is a failure, told with its reason. */
function tell(terminal: Terminal, outcome: PlanOutcome, running: number): void {
  if (outcome.outcome === 'rolled-back') process.exitCode = 1;
  const words: string[] = [];
  if (outcome.outcome === 'rolled-back')
    words.push(`rolled back: ${outcome.component === '' ? '' : `${outcome.component} was not well `}(${outcome.code})`);
  else if (outcome.generation !== running) words.push(`it was installed as generation ${outcome.generation}`);
  terminal.answer(outcome, () => terminal.print([...words, `generation ${running} runs`].join('; ')));
}

/** Bars for what takes long, a note for each other step. */
function progressOn(terminal: Terminal): { onProgress: (progress: InstallProgress) => void; end: () => void } {
  let bar: ProgressBar | null = null;
  let shown = '';
  const end = (): void => {
    bar?.end();
    bar = null;
  };
  return {
    end,
    onProgress: (progress) => {
      const { step, done, total } = progress;
      const name = 'component' in progress ? `${step} ${progress.component ?? ''}`.trim() : step;
      if (name !== shown) {
        end();
        shown = name;
        if (total !== undefined) bar = terminal.progress(name, total);
        else terminal.note(name);
      }
      if (done !== undefined) bar?.update(done);
    },
  };
}

function wordsOf(event: object): string {
  const { event: name, error, ...rest } = event as { event: string; error?: { code: string; message: string } };
  if (error) return `${name}: ${error.message} (${error.code})`;
  const more = Object.entries(rest).flatMap(([key, value]) =>
    value === null || (Array.isArray(value) && value.length === 0) ? [] : [`${key} ${JSON.stringify(value)}`],
  );
  return more.length === 0 ? name : `${name}: ${more.join(', ')}`;
}
