/** `countersign status` and `doctor`. */
import { addDoctorCommand, later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

export function addStatusCommands(program: Command): void {
  program
    .command('status')
    .description('what is published and when it expires; what is pending and who must sign')
    .action(later(() => import('../actions/status.ts'), 'status'));
  addDoctorCommand(program, async (command) => (await import('../actions/doctor.ts')).doctor(command));
}
