/** `countersign-device status|history`: what runs here and what was done; nothing is changed. */
import { shortDigest } from '@countersign/protocol';
import type { Command } from 'commander';
import type { Terminal } from '@countersign/protocol/terminal';
import { readHistory } from '../reports/device-history.ts';
import { readStatus, type DeviceStatus } from '../reports/device-status.ts';
import { withDevice } from './session.ts';

export const status = (_: unknown, command: Command): Promise<void> =>
  withDevice(command, (device, terminal) => {
    const status = readStatus(device);
    terminal.answer(status, () => printStatus(terminal, status));
  });

export const history = (_: unknown, command: Command): Promise<void> =>
  withDevice(command, (device, terminal) => {
    const history = readHistory(device);
    terminal.answer({ history }, () => {
      if (history.length === 0) terminal.print('nothing was changed yet');
      else
        terminal.table(
          ['when', 'plan', 'state', 'change', 'signed by'],
          history.map(({ changed, plan, state, steps, approvers }) => [
            changed,
            shortDigest(plan),
            state,
            steps.map(({ component, from, to }) => `${component} ${from ?? '-'} → ${to ?? '-'}`).join(', '),
            approvers.map(({ name }) => name ?? '(erased)').join(', '),
          ]),
        );
    });
  });

function printStatus(terminal: Terminal, status: DeviceStatus): void {
  terminal.print(`device ${shortDigest(status.device)} · ${status.model} · serial ${status.serial}`);
  const poll =
    status.lastPoll === null ? 'never polled' : `last poll ${status.lastPoll.at}: ${status.lastPoll.outcome}`;
  terminal.print(`generation ${status.generation} · ${poll}`);
  const rows = Object.entries(status.components).map(([name, { version, release, capabilities }]) => [
    name,
    version,
    shortDigest(release),
    Object.entries(capabilities)
      .map(([id, state]) => `${id} ${state}`)
      .join(', '),
  ]);
  if (rows.length > 0) {
    terminal.print();
    terminal.table(['component', 'version', 'release', 'capabilities'], rows);
  }
  if (status.plan) {
    const { digest, state, reason } = status.plan;
    terminal.print(`\nplan ${shortDigest(digest)} is ${state}${reason === null ? '' : `: ${reason}`}`);
  }
  for (const { component, version, code } of status.rolledBack)
    terminal.print(`rolled back and kept away: ${component} ${version} (${code})`);
  for (const { component, version, code } of status.refused)
    terminal.print(`refused: ${component} ${version} (${code})`);
  for (const { code, severity, component, message } of status.alerts)
    terminal.print(`${severity}: ${component === '' ? '' : `${component}: `}${message} (${code})`);
}
