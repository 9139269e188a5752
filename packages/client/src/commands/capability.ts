/** `countersign-device capability list|request|revoke`. */
import type { Command } from 'commander';
import { readStatus } from '../reports/device-status.ts';
import { handlersOf } from '../service/handlers.ts';
import { perform } from '../service/intents.ts';
import type { PollResult } from '../service/polling.ts';
import { printPoll } from './plan.ts';
import { addPersonOptions, askerOf, withDevice, type PersonOptions } from './session.ts';

export function addCapabilityCommands(program: Command): void {
  const capability = program.command('capability').description('what components may do here');
  capability
    .command('list')
    .description('every capability of what runs, and how it stands')
    .action((_: unknown, command: Command) =>
      withDevice(command, (device, terminal) => {
        const { components } = readStatus(device);
        const capabilities = Object.entries(components).flatMap(([component, { capabilities: states }]) =>
          Object.entries(states).map(([id, state]) => ({ component, capability: id, state })),
        );
        terminal.answer({ capabilities }, () => {
          if (capabilities.length === 0) terminal.print('no component with capabilities runs');
          else
            terminal.table(
              ['component', 'capability', 'state'],
              capabilities.map((one) => [one.component, one.capability, one.state]),
            );
        });
      }),
    );
  capability
    .command('request <component> <capability>')
    .description('plan to turn on what is off; somebody then approves it')
    .action((component: string, id: string, _: unknown, command: Command) =>
      withDevice(command, async (device, terminal) => {
        const requests = [{ component, capability: id }];
        const result = await perform<PollResult>(device, handlersOf(device), 'request', { requests });
        terminal.answer(result, () => printPoll(terminal, result));
      }),
    );
  addPersonOptions(
    capability
      .command('revoke <component> <capability>')
      .description('take it back: closed at once, its files go with the next change'),
  ).action((component: string, id: string, options: PersonOptions, command: Command) =>
    withDevice(command, async (device, terminal) => {
      const { by } = await askerOf(device, terminal, options);
      const revoked = await perform<object>(device, handlersOf(device), 'revoke', { component, capability: id, by });
      terminal.answer(revoked, () => terminal.print(`${id} of ${component} is closed`));
    }),
  );
}
