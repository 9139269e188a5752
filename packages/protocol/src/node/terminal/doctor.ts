/**
 * `doctor`, the same in all three programs: each brings its list of checks, and this module runs them and prints the findings. A
 * check changes nothing. A check that throws is itself a finding, and the next one still runs.
 */
import type { Command } from 'commander';
import { terminalOf } from './command-line.ts';
import { describeError } from './terminal.ts';

/** One thing that is wrong, with how to repair it. */
export interface Diagnosis {
  readonly code: string;
  readonly what: string;
  readonly mend: string;
}

/** What was found so far, and where a check adds to it. */
export interface Findings {
  add(code: string, what: string, mend: string): void;
  has(code: string): boolean;
  /** Runs a part of a check; if it throws, that is a finding, and the check goes on. */
  attempt(work: () => unknown): Promise<void>;
}

export type Check = (findings: Findings) => unknown;

/** Runs every check, one after the other; the findings come in the order in which they should be repaired. */
export async function diagnose(checks: readonly Check[]): Promise<Diagnosis[]> {
  const found: Diagnosis[] = [];
  const findings: Findings = {
    add: (code, what, mend) => void found.push({ code, what, mend }),
    has: (code) => found.some((one) => one.code === code),
    attempt: async (work) => {
      try {
        await work();
      } catch (error) {
        const { code, message, hint } = describeError(error);
        findings.add(code, message, hint);
      }
    },
  };
  for (const check of checks) await findings.attempt(() => check(findings));
  return found;
}

/** Adds `doctor` to a program. `work` opens what is looked at; the exit code is 1 where anything is wrong. */
export function addDoctorCommand(program: Command, work: (command: Command) => Promise<readonly Diagnosis[]>): void {
  program
    .command('doctor')
    .description('look for what is wrong and say how to repair it')
    .action(async (_: unknown, command: Command) => {
      const findings = await work(command);
      if (findings.length > 0) process.exitCode = 1;
      const terminal = terminalOf(command);
      terminal.answer({ findings }, () => {
        if (findings.length === 0) terminal.print('nothing is wrong');
        for (const { code, what, mend } of findings) terminal.print(`${what} (${code})\n  mend: ${mend}`);
      });
    });
}
