/**
 * Runs the hooks of the components that a change touches, in the order of their requirements, and asks whether what was started
 * is alive. The journal notes each hook before and after it runs.
 */
import { codeOf, messageOf } from '@countersign/protocol';
import { raiseAlert } from '../device/alerts.ts';
import type { Device } from '../device/device.ts';
import { dependencyOrder } from '../generations/dependency-order.ts';
import { findComponent, type Generation } from '../generations/generations.ts';
import { note, noteHook, totalBudget, type Job } from '../generations/journal.ts';
import { hookOf, runHook, type HookName } from './hooks.ts';
import { awaitHealth, forComponent } from './probation.ts';

export interface SwitchProgress {
  readonly step: 'unpack' | 'check' | HookName | 'switch' | 'commit' | 'roll-back';
  readonly component?: string;
  /** Packed bytes of one archive, if the step is unpack. */
  readonly done?: number;
  readonly total?: number;
}
export type OnSwitchProgress = (progress: SwitchProgress) => void;

export class SwitchHooks {
  readonly #device: Device;
  readonly #job: Pick<Job, 'id' | 'transitions'>;
  readonly #affected: ReadonlySet<string>;
  readonly #onProgress: OnSwitchProgress | undefined;

  constructor(
    device: Device,
    job: Pick<Job, 'id' | 'transitions'>,
    affected: ReadonlySet<string>,
    onProgress: OnSwitchProgress | undefined,
  ) {
    this.#device = device;
    this.#job = job;
    this.#affected = affected;
    this.#onProgress = onProgress;
  }

  /** Runs the hook of every affected component; stops at the first that fails. @throws ComponentFailure */
  async runAll(generation: Generation, hook: 'stop' | 'start'): Promise<void> {
    for (const component of this.#inOrder(generation, hook)) {
      this.#onProgress?.({ step: hook, component });
      await forComponent(component, () => this.#journaled(generation, component, hook));
    }
  }

  /** On the way back: a hook that fails does not stop the rest; past the budget no hook runs. */
  async tryAll(generation: Generation, hook: 'stop' | 'start'): Promise<void> {
    if (this.#job.transitions > totalBudget) return;
    for (const component of this.#inOrder(generation, hook)) {
      try {
        await this.#journaled(generation, component, hook);
      } catch (error) {
        this.#device.log({ level: 'error', event: 'hook-failed', component, hook, message: String(error) });
        if (hook === 'start') this.#unhealthy(component, error);
      }
    }
  }

  /** Waits until all are healthy. @throws ComponentFailure */
  awaitAll(generation: Generation): Promise<void> {
    return awaitHealth(this.#device, generation, this.#order(generation));
  }

  /** Checks what runs again and raises an alert for each unhealthy component. */
  async lookAt(generation: Generation): Promise<void> {
    for (const component of this.#order(generation)) {
      try {
        if (this.#job.transitions <= totalBudget) await awaitHealth(this.#device, generation, [component]);
      } catch (error) {
        this.#unhealthy(component, error);
      }
    }
  }

  /** Affected components of a generation, required ones first. */
  #order(generation: Generation): string[] {
    return dependencyOrder(generation.components).filter((component) => this.#affected.has(component));
  }

  #inOrder(generation: Generation, hook: 'stop' | 'start'): string[] {
    const order = this.#order(generation).filter((name) => hookOf(findComponent(generation, name), hook));
    return hook === 'stop' ? order.reverse() : order;
  }

  async #journaled(generation: Generation, component: string, hook: 'stop' | 'start'): Promise<void> {
    const { id } = this.#job;
    note(this.#device, id, `${hook} ${component}`, 'intent');
    try {
      await runHook(this.#device, generation, component, hook, {
        onStarted: (identity) => noteHook(this.#device, identity),
      });
    } catch (error) {
      note(this.#device, id, `${hook} ${component}`, 'failed', codeOf(error));
      throw error;
    }
    note(this.#device, id, `${hook} ${component}`, 'done');
  }

  #unhealthy(component: string, error: unknown): void {
    const message = `${component} does not run as it should after going back: ${messageOf(error)}`;
    raiseAlert(this.#device, { code: 'COMPONENT_UNHEALTHY', component, severity: 'critical', message });
  }
}
