/** `countersign-device doctor`. */
import { addDoctorCommand, diagnose } from '@countersign/protocol/node';
import type { Command } from 'commander';
import { deviceChecks } from '../reports/doctor.ts';
import { withDevice } from './session.ts';

export const addDoctor = (program: Command): void =>
  addDoctorCommand(program, (command) => withDevice(command, (device) => diagnose(deviceChecks(device))));
