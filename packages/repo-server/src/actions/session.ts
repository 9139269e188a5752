/** Opens what every command begins with: the repository's folder, and the list of its publishers. */
import { join, resolve } from 'node:path';
import { readIfPresent } from '@countersign/protocol/node';
import type { Command } from 'commander';
import { serverError } from '../errors.ts';
import { PublisherList } from '../publishers.ts';
import { stateFolder } from '../state-folder.ts';

export const directoryOf = (command: Command): string => resolve(command.optsWithGlobals<{ dir: string }>().dir);

/** @throws SERVER_MISSING */
export function publishersOf(command: Command): PublisherList {
  const state = stateFolder(directoryOf(command));
  if (!readIfPresent(join(state, 'online-keys.secret.json'), 1 << 16))
    throw serverError('SERVER_MISSING', `${directoryOf(command)} holds no server`);
  return new PublisherList(state);
}
