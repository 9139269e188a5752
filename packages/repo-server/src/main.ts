/** `countersign-server`: the repository server's commands. */
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { pino } from 'pino';
import { makeFolder, readIfPresent, runCommand, terminalOf, writeDurable } from '@countersign/protocol/node';
import { diagnose } from './doctor.ts';
import { serverError } from './errors.ts';
import { makeOnlineKeys, publicOnlineKeys } from './online-keys.ts';
import { PublisherList } from './publishers.ts';
import { startServer, stateFolder } from './server.ts';

const portOf = (text: string): number => {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('not a port');
  return Number(text);
};
const program = new Command('countersign-server')
  .description('serves a repository to devices and takes publications')
  .option('--dir <folder>', 'folder of the repository', 'repository');
const directoryOf = (command: Command): string => resolve(command.optsWithGlobals<{ dir: string }>().dir);
const publishersOf = (command: Command): PublisherList => {
  const state = stateFolder(directoryOf(command));
  if (!readIfPresent(join(state, 'online-keys.secret.json'), 1 << 16))
    throw serverError('SERVER_MISSING', `${directoryOf(command)} holds no server`);
  return new PublisherList(state);
};

program
  .command('init')
  .description('make the online keys; their public halves go into root')
  .option('--online-keys <file>', 'where to write the public halves', 'online-keys.json')
  .action((options: { onlineKeys: string }, command: Command) => {
    const directory = directoryOf(command);
    const state = stateFolder(directory);
    if (readIfPresent(join(state, 'online-keys.secret.json'), 1 << 16))
      throw serverError('SERVER_EXISTS', `${directory} holds a server already`);
    makeFolder(state, { mode: 0o700 });
    const keys = publicOnlineKeys(makeOnlineKeys(state));
    const file = resolve(options.onlineKeys);
    writeDurable(file, `${JSON.stringify(keys, null, 2)}\n`);
    const terminal = terminalOf(command);
    terminal.answer({ directory, onlineKeys: file }, () => {
      terminal.print(
        `server made in ${directory}; its online keys lie unencrypted in ${state}, keep that folder to the service account`,
      );
      terminal.print(`next: countersign init --online-keys ${options.onlineKeys}`);
    });
  });

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

program
  .command('doctor')
  .description('look for what is wrong and say how to mend it')
  .action(async (_options: unknown, command: Command) => {
    const findings = await diagnose(directoryOf(command), new Date());
    const terminal = terminalOf(command);
    terminal.answer({ findings }, () => {
      if (findings.length === 0) terminal.print('nothing is wrong');
      for (const { what, mend } of findings) terminal.print(`${what}\n  mend: ${mend}`);
    });
    if (findings.length > 0) process.exitCode = 1;
  });

await runCommand(program);
