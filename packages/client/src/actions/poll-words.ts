/** What a poll found, in words. */
import { shortDigest } from '@countersign/protocol';
import type { Terminal } from '@countersign/protocol/terminal';
import type { PollResult } from '../service/polling.ts';

export function printPoll(terminal: Terminal, { plan, omitted }: PollResult): void {
  for (const { component, version, reason, code } of omitted)
    terminal.print(`left out: ${component} ${version}: ${reason} (${code})`);
  if (plan === null) terminal.print('nothing to decide');
  else {
    terminal.print(`plan ${shortDigest(plan.digest)} is ${plan.state}`);
    terminal.note('see it with countersign-device plan');
  }
}
