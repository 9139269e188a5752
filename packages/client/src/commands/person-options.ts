/** Options that name who signs. */
import type { Command } from 'commander';

export const addPersonOptions = (command: Command): Command =>
  command
    .option('--account <name>', 'account that signs')
    .option('--password-file <file>', 'read the password from the first line of a file');
