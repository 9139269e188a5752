/** `countersign-server doctor`: works while a server runs. */
import { addDoctorCommand, diagnose } from '@countersign/protocol/node';
import type { Command } from 'commander';
import { serverChecks } from '../doctor.ts';
import { DirectoryStore } from '../repository-stores/directory.ts';
import { directoryOf } from './session.ts';

export const addDoctor = (program: Command): void =>
  addDoctorCommand(program, (command) => {
    const directory = directoryOf(command);
    return diagnose(serverChecks(directory, (folder) => new DirectoryStore(folder), new Date()));
  });
