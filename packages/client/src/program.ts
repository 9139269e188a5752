/** Every command of `countersign-device`, as declared: what each does is loaded when it runs. */
import { Command } from 'commander';
import { addAccountCommands } from './commands/account.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addCapabilityCommands } from './commands/capability.ts';
import { addComponentCommands } from './commands/component.ts';
import { addDoctor } from './commands/doctor.ts';
import { addInit } from './commands/init.ts';
import { addPlanCommands } from './commands/plan.ts';
import { addRunCommands } from './commands/run.ts';
import { addStatusCommands } from './commands/status.ts';
import { defaultDirectory } from './platform/default-directory.ts';

export function deviceProgram(): Command {
  const program = new Command('countersign-device')
    .description('installs on this PC exactly what the vendor and a technician here both signed')
    .option('--dir <folder>', "the device's data folder", defaultDirectory());
  for (const add of [
    addInit,
    addRunCommands,
    addPlanCommands,
    addStatusCommands,
    addCapabilityCommands,
    addComponentCommands,
    addAuditCommands,
    addAccountCommands,
    addDoctor,
  ])
    add(program);
  return program;
}
