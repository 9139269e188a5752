/** `countersign-device doctor`. */
import { addDoctorCommand } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

export const addDoctor = (program: Command): void =>
  addDoctorCommand(program, async (command) => (await import('../actions/doctor.ts')).doctor(command));
