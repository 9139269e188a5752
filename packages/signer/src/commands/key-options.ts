/** Options that name keys and the passphrases that open them. */
import type { Command } from 'commander';

/** `--key URI...` and `--passphrase-file FILE...`; both may also be repeated. */
export const addKeyOptions = (command: Command): Command =>
  addPassphraseOption(command.option('--key <uri...>', 'keys that sign: file:keys/NAME.age, or a NAME in keys'));

export const addPassphraseOption = (command: Command): Command =>
  command.option('--passphrase-file <file...>', 'files whose first lines are the passphrases, tried in order');
