/** `countersign-device path|exec`: what runs, found by its name; live folders never move. */
import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import { codeOf } from '@countersign/protocol';
import { clientError } from '../device/errors.ts';
import { baseOf, currentGeneration, findComponent } from '../generations/generations.ts';
import { commandOf } from '../installing/hooks.ts';
import { withDevice } from './session.ts';

export const path = (name: string, _: unknown, command: Command): Promise<void> =>
  withDevice(command, (device, terminal) => {
    const component = findComponent(currentGeneration(device), name);
    const { version, release } = component;
    const path = baseOf(component).folder;
    terminal.answer({ component: name, version, release, path }, () => terminal.print(path));
  });

export const exec = (name: string, argv: string[], _: unknown, command: Command): Promise<void> =>
  withDevice(command, async (device) => {
    const generation = currentGeneration(device);
    const component = findComponent(generation, name);
    const run = commandOf(device, generation!, component, argv);
    process.exitCode = await new Promise<number>((ended, failed) => {
      const child = spawn(run.file, run.arguments, { cwd: run.directory, env: run.environment, stdio: 'inherit' });
      child.on('error', (cause) =>
        failed(clientError('COMMAND_ENDED', `${run.file} cannot be started: ${codeOf(cause) ?? 'failed'}`, { cause })),
      );
      child.on('close', (code) => ended(code ?? 1));
    });
  });
