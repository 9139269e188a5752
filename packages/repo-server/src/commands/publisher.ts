/** `countersign-server publisher add|revoke|list`. */
import { terminalOf } from '@countersign/protocol/node';
import type { Command } from 'commander';
import { publishersOf } from './session.ts';

export function addPublisherCommands(program: Command): void {
  const publisher = program.command('publisher').description('who may publish');
  publisher
    .command('add <name>')
    .description('make an API key; it is printed once')
    .action((name: string, _options: unknown, command: Command) => {
      const key = publishersOf(command).add(name, new Date());
      const terminal = terminalOf(command);
      terminal.answer({ publisher: name, apiKey: key }, () => {
        terminal.note('keep this key in a file that only the publisher reads; it is not shown again');
        terminal.print(key);
      });
    });
  publisher
    .command('revoke <name>')
    .description('end an API key at once')
    .action((name: string, _options: unknown, command: Command) => {
      publishersOf(command).revoke(name, new Date());
      const terminal = terminalOf(command);
      terminal.answer({ revoked: name }, () => terminal.print(`${name} may no longer publish`));
    });
  publisher
    .command('list')
    .description('who may publish')
    .action((_options: unknown, command: Command) => {
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
    });
}
