/** `countersign-server doctor`: works beside a running server. */
import { diagnose, type Diagnosis } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { serverChecks } from '../doctor.ts';
import { DirectoryStore } from '../repository-stores/directory.ts';
import { directoryOf } from './session.ts';

export const doctor = async (command: Command): Promise<Diagnosis[]> =>
  diagnose(serverChecks(directoryOf(command), (folder) => new DirectoryStore(folder), new Date()));
