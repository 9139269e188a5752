/** Every command of `countersign`, as declared: what each does is loaded when it runs. */
import { Command } from 'commander';
import { addAuthorityCommands } from './commands/authority.ts';
import { addChangeCommands } from './commands/change.ts';
import { addInit } from './commands/init.ts';
import { addKeyCommands } from './commands/key.ts';
import { addPack } from './commands/pack.ts';
import { addPublishCommands } from './commands/publish.ts';
import { addReleaseCommands } from './commands/release.ts';
import { addRoleCommands } from './commands/role.ts';
import { addSign } from './commands/sign.ts';
import { addStatusCommands } from './commands/status.ts';

export function signerProgram(): Command {
  const program = new Command('countersign')
    .description('packs, signs and publishes releases; several people sign one change')
    .option('--workspace <folder>', 'folder of the workspace', '.');
  for (const add of [
    addInit,
    addKeyCommands,
    addPack,
    addSign,
    addReleaseCommands,
    addAuthorityCommands,
    addRoleCommands,
    addChangeCommands,
    addPublishCommands,
    addStatusCommands,
  ])
    add(program);
  return program;
}
