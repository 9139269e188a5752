/**
 * Switches from one generation to another, as a sequence of phases in the journal: stop → make current → start → health
 * → committed; where something fails: stop the new → make the old one current again → start it → rolled back.
 *
 * Invariants: `current` names the generation whose components are to run, and changes for all components in one
 * transaction; success is recorded only after the new components said that they are alive; killed at any instant, `drive` goes on
 * from the recorded phase; the way back needs only the database and the store, and always ends.
 */
import { messageOf, codeOf } from '@countersign/protocol';
import { clearAlert, raiseAlert } from '../device/alerts.ts';
import { appendAudit } from '../device/audit.ts';
import { transact } from '../device/database.ts';
import type { Device } from '../device/device.ts';
import { restoreDecisions } from '../generations/capability-decisions.ts';
import { withDependents } from '../generations/dependency-order.ts';
import { engineError } from '../generations/engine-errors.ts';
import {
  dropGeneration,
  readGeneration,
  setGenerationState,
  writeCurrentRow,
  type Generation,
} from '../generations/generations.ts';
import { writeGrants } from '../generations/grants.ts';
import { quarantine, raiseHighest } from '../generations/install-history.ts';
import { endJob, enterPhase, forwardBudget, openJob, type Failure, type Job } from '../generations/journal.ts';
import { keepOutcome, setPlanState, type PlanOutcome, type PlanState } from '../generations/plans.ts';
import { SwitchHooks, type OnSwitchProgress } from './switch-hooks.ts';
import { ComponentFailure } from './probation.ts';

export type Outcome =
  | PlanOutcome
  /** An interrupted change was undone before anything was switched; its plan is in the state it had before. */
  | { readonly outcome: 'abandoned'; readonly generation: number };

export interface DriveOptions {
  /** Runs inside the switching transaction: the plan's decisions take effect together with its components. */
  readonly atSwitch?: () => void;
  readonly onProgress?: OnSwitchProgress | undefined;
}

/** Takes the open job to its end. @throws what stops even the way back, such as DISK_FULL; calling again goes on */
export async function drive(device: Device, options: DriveOptions = {}): Promise<Outcome> {
  for (;;) {
    const job = openJob(device);
    if (!job) throw engineError('INSTALL_INPUT', 'there is no change to go on with');
    const outcome = job.phase === 'staging' ? abandon(device, job) : await new Switch(device, job, options).advance();
    if (outcome) return outcome;
  }
}

/** Nothing was stopped yet: drops the prepared generation; its archives are collected later. */
function abandon(device: Device, job: Job): Outcome {
  transact(device.database, () => {
    dropGeneration(device, job.generation);
    endJob(device, job, 'abandoned');
  });
  return { outcome: 'abandoned', generation: job.detail.from?.generation ?? 0 };
}

class Switch {
  readonly #device: Device;
  readonly #job: Job;
  readonly #options: DriveOptions;
  readonly #old: Generation | null;
  readonly #new: Generation;
  readonly #affected: ReadonlySet<string>;
  readonly #hooks: SwitchHooks;

  constructor(device: Device, job: Job, options: DriveOptions) {
    this.#device = device;
    this.#job = job;
    this.#options = options;
    this.#old = job.detail.from === null ? null : readGeneration(device, job.detail.from.generation);
    this.#new = readGeneration(device, job.generation);
    this.#affected = withDependents(job.detail.changed, [...(this.#old?.components ?? []), ...this.#new.components]);
    this.#hooks = new SwitchHooks(device, job, this.#affected, options.onProgress);
  }

  /** One phase; an outcome when it was the last. */
  async advance(): Promise<Outcome | null> {
    const { phase, transitions } = this.#job;
    const forward = phase === 'stopping' || phase === 'starting' || phase === 'probation';
    try {
      if (forward && transitions > forwardBudget)
        throw engineError('INSTALL_LOOP', `entered ${transitions} phases, allowed are ${forwardBudget}`);
      switch (phase) {
        case 'stopping':
          return await this.#stopOld();
        case 'starting':
          return await this.#startNew();
        case 'probation':
          return await this.#watchNew();
        case 'rolling-back':
          return await this.#stopNew();
        case 'restarting':
          return await this.#restartOld();
        case 'staging':
          return null; // equivalent: drive abandons it before
      }
    } catch (error) {
      if (!forward) throw error;
      this.#fail(error);
      return null;
    }
  }

  async #stopOld(): Promise<null> {
    if (this.#old) await this.#hooks.runAll(this.#old, 'stop');
    this.#options.onProgress?.({ step: 'switch' });
    transact(this.#device.database, () => {
      writeCurrentRow(this.#device, { generation: this.#new.number, previous: this.#old?.number ?? null });
      this.#options.atSwitch?.();
      appendAudit(this.#device, 'generation-switched', {
        from: this.#old?.number ?? 0,
        to: this.#new.number,
        plan: this.#job.plan,
      });
      enterPhase(this.#device, this.#job, 'starting');
    });
    return null;
  }

  async #startNew(): Promise<null> {
    writeGrants(this.#device);
    await this.#hooks.runAll(this.#new, 'start');
    transact(this.#device.database, () => {
      // When going back by hand, the plan that is left stays committed until the older generation is.
      if (this.#job.kind === 'install') this.#setPlan('probation');
      enterPhase(this.#device, this.#job, 'probation');
    });
    return null;
  }

  async #watchNew(): Promise<Outcome> {
    this.#options.onProgress?.({ step: 'health' });
    await this.#hooks.awaitAll(this.#new);
    this.#options.onProgress?.({ step: 'commit' });
    const { number } = this.#new;
    const undo = this.#job.kind === 'rollback';
    transact(this.#device.database, () => {
      setGenerationState(this.#device, number, 'current');
      if (this.#old) setGenerationState(this.#device, this.#old.number, undo ? 'rolled-back' : 'previous');
      // After a manual rollback there is nothing to go back to: a person chose to leave the newer generation.
      if (undo) writeCurrentRow(this.#device, { generation: number, previous: null });
      else raiseHighest(this.#device, this.#new.components);
      if (undo) this.#endPlan({ outcome: 'rolled-back', generation: number, code: 'ROLLBACK', component: '' });
      else this.#endPlan({ outcome: 'committed', generation: number });
      appendAudit(this.#device, undo ? 'rollback-committed' : 'generation-committed', {
        generation: number,
        plan: this.#job.plan,
        components: this.#new.components.map(({ component, version, release }) => ({ component, version, release })),
      });
      for (const component of this.#affected) clearAlert(this.#device, 'COMPONENT_UNHEALTHY', component);
      endJob(this.#device, this.#job, 'committed');
    });
    return { outcome: 'committed', generation: number };
  }

  async #stopNew(): Promise<null> {
    this.#options.onProgress?.({ step: 'roll-back' });
    await this.#hooks.tryAll(this.#new, 'stop');
    transact(this.#device.database, () => {
      writeCurrentRow(this.#device, this.#job.detail.from);
      restoreDecisions(this.#device, this.#job.detail.changed, this.#job.detail.before);
      setGenerationState(this.#device, this.#new.number, 'rolled-back');
      appendAudit(this.#device, 'generation-switched', {
        from: this.#new.number,
        to: this.#old?.number ?? 0,
        plan: this.#job.plan,
      });
      enterPhase(this.#device, this.#job, 'restarting');
    });
    return null;
  }

  async #restartOld(): Promise<Outcome> {
    writeGrants(this.#device);
    if (this.#old) {
      await this.#hooks.tryAll(this.#old, 'start');
      await this.#hooks.lookAt(this.#old);
    }
    const { failure } = this.#job.detail;
    const generation = this.#old?.number ?? 0;
    const outcome: Outcome = failure
      ? { outcome: 'rolled-back', generation, code: failure.code, component: failure.component }
      : { outcome: 'abandoned', generation };
    transact(this.#device.database, () => {
      if (failure) this.#recordFailure(failure);
      else this.#takeBack();
      if (outcome.outcome === 'rolled-back' && this.#job.kind === 'install') this.#endPlan(outcome);
      endJob(this.#device, this.#job, outcome.outcome);
    });
    return outcome;
  }

  /** Nothing was switched: the plan may be tried again. */
  #takeBack(): void {
    dropGeneration(this.#device, this.#new.number);
    const { planState } = this.#job.detail;
    if (planState !== null) this.#setPlan(planState as PlanState, 'interrupted, goes on by itself');
  }

  #recordFailure({ code, component, message, releases }: Failure): void {
    const device = this.#device;
    setGenerationState(device, this.#new.number, 'rolled-back');
    for (const { component: name, version, release } of this.#new.components)
      if (releases.includes(release)) quarantine(device, { release, component: name, version, code });
    appendAudit(device, this.#job.kind === 'install' ? 'generation-rolled-back' : 'rollback-failed', {
      generation: this.#new.number,
      runs: this.#old?.number ?? 0,
      plan: this.#job.plan,
      code,
      component,
    });
    raiseAlert(device, { code, component, severity: 'critical', message: `the change was undone: ${message}` });
  }

  /** Turns the change back. */
  #fail(error: unknown): void {
    const switched = this.#job.phase !== 'stopping';
    const component = error instanceof ComponentFailure ? error.component : '';
    const failure: Failure = {
      code: codeOf(error) ?? 'INTERNAL',
      component,
      message: messageOf(error),
      releases: switched && this.#job.kind === 'install' ? this.#culprits(component) : [],
    };
    this.#device.log({ level: 'error', event: 'change-failed', ...failure });
    transact(this.#device.database, () => {
      if (this.#job.kind === 'install') this.#setPlan('rolling-back', failure.code);
      enterPhase(this.#device, this.#job, switched ? 'rolling-back' : 'restarting', { failure });
    });
  }

  /** The releases to quarantine: the failing component's, if it is new; else the new ones that it builds on; else all new ones. */
  #culprits(component: string): string[] {
    const before = new Map(this.#old?.components.map((other) => [other.component, other.release]));
    const fresh = this.#new.components.filter((other) => before.get(other.component) !== other.release);
    const own = fresh.filter((other) => other.component === component);
    const below = fresh.filter(({ component: other }) => withDependents([other], this.#new.components).has(component));
    return (own.length > 0 ? own : below.length > 0 ? below : fresh).map(({ release }) => release);
  }

  /** Call inside the transaction that ends the change. */
  #endPlan(outcome: PlanOutcome): void {
    keepOutcome(this.#device, this.#job.plan, outcome);
    if (outcome.outcome === 'committed') this.#setPlan('committed');
    else this.#setPlan('rolled-back', outcome.code);
  }

  #setPlan(state: PlanState, reason?: string): void {
    setPlanState(this.#device, this.#job.plan, state, reason === undefined ? {} : { reason });
  }
}
