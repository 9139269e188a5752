/** `countersign-device doctor`. */
import type { Command } from 'commander';
import { diagnose } from '../reports/doctor.ts';
import { withDevice } from './session.ts';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('look for what is wrong and say how to mend it')
    .action((_: unknown, command: Command) =>
      withDevice(command, async (device, terminal) => {
        const findings = await diagnose(device);
        if (findings.length > 0) process.exitCode = 1;
        terminal.answer({ findings }, () => {
          if (findings.length === 0) terminal.print('nothing is wrong');
          for (const { code, what, mend } of findings) terminal.print(`${what} (${code})\n  mend: ${mend}`);
        });
      }),
    );
}
