/** Every command of `countersign-server`, as declared: what each does is loaded when it runs. */
import { Command } from 'commander';
import { addDoctor } from './commands/doctor.ts';
import { addInit } from './commands/init.ts';
import { addPublisherCommands } from './commands/publisher.ts';
import { addServe } from './commands/serve.ts';

export function serverProgram(): Command {
  const program = new Command('countersign-server')
    .description('serves a repository to devices and takes publications')
    .option('--dir <folder>', 'folder of the repository', 'repository');
  for (const add of [addInit, addServe, addPublisherCommands, addDoctor]) add(program);
  return program;
}
