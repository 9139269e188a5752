/** `countersign-server serve`. */
import { terminalOf } from '@countersign/protocol/node';
import { InvalidArgumentError, type Command } from 'commander';
import { pino } from 'pino';
import { startServer } from '../server.ts';
import { directoryOf } from './session.ts';

const portOf = (text: string): number => {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('not a port');
  return Number(text);
};

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('serve until stopped')
    .option('--root <file>', 'the shipped root, at the first start')
    .option('--codesign <file>', 'version 1 of the codesign chain, at the first start')
    .option('--devices <file>', 'version 1 of the devices chain, at the first start')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port to listen on, 0 for any', portOf, 8080)
    .action(
      async (
        options: { root?: string; codesign?: string; devices?: string; host: string; port: number },
        command: Command,
      ) => {
        const terminal = terminalOf(command);
        const server = await startServer({
          ...options,
          directory: directoryOf(command),
          logger: pino({ level: 'info', base: null }, process.stderr),
        });
        terminal.answer({ serving: server.url }, () =>
          terminal.print(`serving ${directoryOf(command)} at ${server.url}`),
        );
        await new Promise<void>((stop) => {
          for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop());
        });
        await server.close();
      },
    );
}
