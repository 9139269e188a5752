/** `countersign-server`: the repository server's commands. */
import { runCommand } from '@countersign/protocol/node';
import { Command } from 'commander';
import { addDoctor } from './commands/doctor.ts';
import { addInit } from './commands/init.ts';
import { addPublisherCommands } from './commands/publisher.ts';
import { addServe } from './commands/serve.ts';

const program = new Command('countersign-server')
  .description('serves a repository to devices and takes publications')
  .option('--dir <folder>', 'folder of the repository', 'repository');
for (const add of [addInit, addServe, addPublisherCommands, addDoctor]) add(program);
await runCommand(program);
