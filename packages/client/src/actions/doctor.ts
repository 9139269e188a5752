/** `countersign-device doctor`. */
import { diagnose, type Diagnosis } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { deviceChecks } from '../reports/doctor.ts';
import { withDevice } from './session.ts';

export const doctor = (command: Command): Promise<Diagnosis[]> =>
  withDevice(command, (device) => diagnose(deviceChecks(device)));
