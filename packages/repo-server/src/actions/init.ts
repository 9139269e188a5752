/** `countersign-server init`. */
import { join, resolve } from 'node:path';
import { makeFolder, readIfPresent, writeDurable } from '@countersign/protocol/node';
import { terminalOf } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { serverError } from '../errors.ts';
import { makeOnlineKeys, publicOnlineKeys } from '../online-keys.ts';
import { stateFolder } from '../state-folder.ts';
import { directoryOf } from './session.ts';

export function init(options: { onlineKeys: string }, command: Command): void {
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
}
