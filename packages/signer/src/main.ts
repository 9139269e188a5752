/** `countersign`: the release engineer's and key holders' program. */
import { Command } from 'commander';
import { runCommand } from '@countersign/protocol/node';
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
await runCommand(program);
