/**
 * `countersign-device run`: the unattended service. It holds the device lock, recovers what an interruption left, polls with
 * jitter and back-off, answers what commands ask, and carries out plans that were approved. It never approves anything.
 * A signal ends it after the current step; recovery handles being killed.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf } from '@countersign/protocol';
import { describeError } from '@countersign/protocol/terminal';
import { withLock, type Device } from '../device/device.ts';
import { approvedPlan, installApproved } from '../installing/install-flow.ts';
import { recover } from '../installing/recovery.ts';
import { handlersOf } from './handlers.ts';
import { answerIntents, attending, canWait, dropOldIntents } from './intents.ts';
import { poll } from './polling.ts';

export interface ServiceOptions {
  /** Seconds between polls when all is well; each is lengthened by up to a tenth, so that devices do not poll all at once. */
  readonly pollSeconds: number;
  readonly signal: AbortSignal;
  readonly onEvent: (event: object) => void;
}

const longestPollWait = 4 * 3600;
const installWaits = { first: 30, longest: 3600 };
const lookMilliseconds = 200;

/** When something is due again: after `seconds`, doubled with every failure in a row up to `longest`. */
class Schedule {
  #failures = 0;
  #due = 0;
  readonly #seconds: number;
  readonly #longest: number;

  constructor(seconds: number, longest: number) {
    this.#seconds = seconds;
    this.#longest = Math.max(seconds, longest);
  }

  get isDue(): boolean {
    return performance.now() >= this.#due;
  }

  note(worked: boolean): void {
    this.#failures = worked ? 0 : this.#failures + 1;
    const wait = Math.min(this.#seconds * 2 ** Math.min(this.#failures, 20), this.#longest);
    this.#due = performance.now() + wait * (1000 + randomInt(100));
  }

  now(): void {
    this.#failures = 0;
    this.#due = 0;
  }
}

/** Runs until the signal. @throws DEVICE_BUSY where another process is the service, RECOVERY_REQUIRED */
export async function serve(device: Device, { pollSeconds, signal, onEvent }: ServiceOptions): Promise<void> {
  const handlers = handlersOf(device, { signal });
  const polls = new Schedule(pollSeconds, longestPollWait);
  const installs = new Schedule(installWaits.first, installWaits.longest);
  let approved: string | null = null;
  const attempt = async (what: string, work: () => Promise<object>): Promise<boolean> => {
    try {
      onEvent({ event: what, ...(await work()) });
      return true;
    } catch (error) {
      if (codeOf(error) === 'RECOVERY_REQUIRED') throw error;
      onEvent({ event: `${what}-failed`, error: describeError(error) });
      return false;
    }
  };
  await withLock(device, () =>
    attending(device, handlers, async () => {
      dropOldIntents(device);
      const { outcome, damaged } = await recover(device);
      onEvent({ event: 'started', recovered: outcome, damaged });
      while (!signal.aborted) {
        await answerIntents(device, handlers, canWait);
        if (polls.isDue) polls.note(await attempt('polled', () => poll(device)));
        const plan = approvedPlan(device)?.digest ?? null;
        // A new approval is carried out at once, even if an earlier plan made the schedule wait.
        if (plan !== approved) installs.now();
        approved = plan;
        if (plan !== null && installs.isDue)
          installs.note(await attempt('installed', () => installApproved(device, { signal })));
        await pause(lookMilliseconds, undefined, { signal }).catch(() => undefined);
      }
    }),
  );
  onEvent({ event: 'stopped' });
}
