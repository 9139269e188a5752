/** `countersign-device run|install|rollback`: the commands that change the running generation. */
import { InvalidArgumentError, type Command } from 'commander';
import type { ProgressBar, Terminal } from '@countersign/protocol/node';
import { findPlan } from '../consent/plan-releases.ts';
import type { PlanOutcome } from '../generations/plans.ts';
import type { InstallOutcome, InstallProgress } from '../installing/install-flow.ts';
import { handlersOf } from '../service/handlers.ts';
import { perform } from '../service/intents.ts';
import { serve } from '../service/service.ts';
import { addPersonOptions, askerOf, withDevice, type PersonOptions } from './session.ts';

export function addRunCommands(program: Command): void {
  program
    .command('run')
    .description('be the service: poll, answer commands, carry out what was approved')
    .option('--poll-seconds <number>', 'seconds between polls', secondsOf, 300)
    .action((options: { pollSeconds: number }, command: Command) =>
      withDevice(command, async (device, terminal) => {
        const stop = new AbortController();
        for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
        await serve(device, {
          pollSeconds: options.pollSeconds,
          signal: stop.signal,
          onEvent: (event) => terminal.answer(event, () => terminal.print(wordsOf(event))),
        });
      }),
    );
  program
    .command('install [plan]')
    .description('carry out the approved plan now')
    .action((name: string | undefined, _: unknown, command: Command) =>
      withDevice(command, async (device, terminal) => {
        const plan = name === undefined ? null : findPlan(device, name).digest;
        const { onProgress, end } = progressOn(terminal);
        const handlers = handlersOf(device, { onProgress });
        const outcome = await perform<InstallOutcome>(device, handlers, 'install', { plan }).finally(end);
        tell(terminal, outcome, outcome.running);
      }),
    );
  addPersonOptions(program.command('rollback').description('go back to the generation before')).action(
    (options: PersonOptions, command: Command) =>
      withDevice(command, async (device, terminal) => {
        const asker = await askerOf(device, terminal, options);
        const { onProgress, end } = progressOn(terminal);
        const handlers = handlersOf(device, { onProgress });
        const outcome = await perform<PlanOutcome>(device, handlers, 'rollback', asker).finally(end);
        tell(terminal, outcome, outcome.generation);
      }),
  );
}

/** A change that was rolled back because a component was unhealthy is a failure, reported with its reason. */
function tell(terminal: Terminal, outcome: PlanOutcome, running: number): void {
  if (outcome.outcome === 'rolled-back') process.exitCode = 1;
  const words: string[] = [];
  if (outcome.outcome === 'rolled-back')
    words.push(`rolled back: ${outcome.component === '' ? '' : `${outcome.component} was not well `}(${outcome.code})`);
  else if (outcome.generation !== running) words.push(`it was installed as generation ${outcome.generation}`);
  terminal.answer(outcome, () => terminal.print([...words, `generation ${running} runs`].join('; ')));
}

/** Progress bars for long steps, a note for each other step. */
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

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0.2 && seconds <= 86_400)) throw new InvalidArgumentError('between 0.2 and 86400');
  return seconds;
}
