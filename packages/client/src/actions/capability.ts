/** `countersign-device capability list|request|revoke`. */
import type { Command } from 'commander';
import { readStatus } from '../reports/device-status.ts';
import { handlersOf } from '../service/handlers.ts';
import { perform } from '../service/intents.ts';
import type { PollResult } from '../service/polling.ts';
import { printPoll } from './poll-words.ts';
import { askerOf, withDevice, type PersonOptions } from './session.ts';

export const list = (_: unknown, command: Command): Promise<void> =>
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
  });

export const request = (component: string, id: string, _: unknown, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const requests = [{ component, capability: id }];
    const result = await perform<PollResult>(device, handlersOf(device), 'request', { requests });
    terminal.answer(result, () => printPoll(terminal, result));
  });

export const revoke = (component: string, id: string, options: PersonOptions, command: Command): Promise<void> =>
  withDevice(command, async (device, terminal) => {
    const { by } = await askerOf(device, terminal, options);
    const revoked = await perform<object>(device, handlersOf(device), 'revoke', { component, capability: id, by });
    terminal.answer(revoked, () => terminal.print(`${id} of ${component} is closed`));
  });
