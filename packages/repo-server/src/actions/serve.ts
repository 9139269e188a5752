/** `countersign-server serve`. */
import { terminalOf } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { pino } from 'pino';
import { startServer } from '../server.ts';
import { directoryOf } from './session.ts';

interface ServeOptions {
  readonly root?: string;
  readonly codesign?: string;
  readonly devices?: string;
  readonly host: string;
  readonly port: number;
}

export async function serve(options: ServeOptions, command: Command): Promise<void> {
  const terminal = terminalOf(command);
  const server = await startServer({
    ...options,
    directory: directoryOf(command),
    logger: pino({ level: 'info', base: null }, process.stderr),
  });
  terminal.answer({ serving: server.url }, () => terminal.print(`serving ${directoryOf(command)} at ${server.url}`));
  await new Promise<void>((stop) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop());
  });
  await server.close();
}
