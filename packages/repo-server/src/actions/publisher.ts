/** `countersign-server publisher add|revoke|list`. */
import { terminalOf } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { publishersOf } from './session.ts';

export function add(name: string, _: unknown, command: Command): void {
  const key = publishersOf(command).add(name, new Date());
  const terminal = terminalOf(command);
  terminal.answer({ publisher: name, apiKey: key }, () => {
    terminal.note('keep this key in a file that only the publisher reads; it is not shown again');
    terminal.print(key);
  });
}

export function revoke(name: string, _: unknown, command: Command): void {
  publishersOf(command).revoke(name, new Date());
  const terminal = terminalOf(command);
  terminal.answer({ revoked: name }, () => terminal.print(`${name} may no longer publish`));
}

export function list(_: unknown, command: Command): void {
  const publishers = Object.entries(publishersOf(command).list()).map(([name, { created, revoked }]) => ({
    name,
    created,
    revoked: revoked ?? null,
  }));
  const terminal = terminalOf(command);
  terminal.answer({ publishers }, () =>
    terminal.table(
      ['publisher', 'since', 'revoked'],
      publishers.map(({ name, created, revoked }) => [name, created, revoked ?? '']),
    ),
  );
}
