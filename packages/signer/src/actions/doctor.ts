/** `countersign doctor`. */
import { diagnose, type Diagnosis } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { workspaceChecks } from '../publishing/doctor.ts';
import { withWorkspace } from './session.ts';

export const doctor = (command: Command): Promise<Diagnosis[]> =>
  withWorkspace(command, (workspace) => diagnose(workspaceChecks(workspace, new Date())));
