/**
 * Starts a generation's components and finds out whether they are alive. A health hook is asked again until it says yes or its
 * time is over. A generation passes only after a last round in which every component says yes, so that a component that dies
 * right after its first answer is noticed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, codeOf, type CountersignError } from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { engineError } from '../generations/engine-errors.ts';
import { findComponent, type Generation } from '../generations/generations.ts';
import { hookOf, runHook } from './hooks.ts';

/** A failure of one component, for the decision to go back. */
export class ComponentFailure extends Error {
  readonly component: string;
  readonly code: string;
  constructor(component: string, cause: unknown) {
    super(messageOf(cause), { cause });
    this.component = component;
    this.code = codeOf(cause) ?? 'INTERNAL';
  }
}

/** Runs `work` for one component; turns what it throws into that component's failure. */
export async function forComponent<T>(component: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new ComponentFailure(component, cause);
  }
}

/** Waits until all are healthy. @throws ComponentFailure: HEALTH_DEADLINE, HOOK_PATH, STORE_DAMAGED */
export async function awaitHealth(
  device: Device,
  generation: Generation,
  components: readonly string[],
): Promise<void> {
  const ends = new Map<string, number>();
  for (const component of components) {
    const seconds = hookOf(findComponent(generation, component), 'health')?.[1];
    if (seconds === undefined) continue;
    ends.set(component, performance.now() + seconds * 1000);
    await forComponent(component, () => becomeHealthy(device, generation, component, ends.get(component)!));
  }
  // A component that is alone has only just answered, but it may have died since, like the others.
  for (const [component, end] of ends)
    await forComponent(component, () => becomeHealthy(device, generation, component, end));
}

async function becomeHealthy(device: Device, generation: Generation, component: string, end: number): Promise<void> {
  for (let wait = 100; ; wait = Math.min(wait * 2, 1000)) {
    const left = Math.max(end - performance.now(), 100);
    const refusal = await ask(device, generation, component, left);
    if (refusal === null) return;
    if (performance.now() + wait >= end)
      throw engineError('HEALTH_DEADLINE', `${component} is not healthy: ${refusal.message}`, { cause: refusal });
    await pause(wait);
  }
}

/** Null when healthy. @throws what waiting longer cannot cure */
async function ask(
  device: Device,
  generation: Generation,
  component: string,
  deadlineMilliseconds: number,
): Promise<CountersignError | null> {
  try {
    await runHook(device, generation, component, 'health', { deadlineMilliseconds });
    return null;
  } catch (error) {
    if (codeOf(error) === 'HOOK_FAILED' || codeOf(error) === 'HOOK_DEADLINE') return error as CountersignError;
    throw error;
  }
}
