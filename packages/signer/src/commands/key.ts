/** `countersign key generate | list | show`. */
import { later } from '@countersign/protocol/terminal';
import { Option, type Command } from 'commander';
import type { KeyType } from '../keys/key-files.ts';

const actions = () => import('../actions/key.ts');
const keyTypes: readonly KeyType[] = ['ed25519', 'ecdsa', 'rsa'];

export function addKeyCommands(program: Command): void {
  const group = program.command('key').description('make and show the keys that sign');
  group
    .command('generate')
    .description('make keys: keys/NAME.age, encrypted, and keys/NAME.pub.json, to give to others')
    .argument('<name...>', 'names of the new keys; all get the same passphrase')
    .addOption(new Option('--type <type>', 'what kind of key').choices(keyTypes).default('ecdsa'))
    .option('--passphrase-file <file>', 'file whose first line is the passphrase')
    .option(
      '--insecure-fast-scrypt-for-demo',
      'protect the key so weakly that a stolen file is soon opened: for demos only',
    )
    .action(later(actions, 'generate'));
  group.command('list').description('list the keys of this workspace').action(later(actions, 'list'));
  group
    .command('show')
    .description('show the public half of a key, its key id, and the digest by which it is revoked')
    .argument('<key>', 'a NAME in keys, or a key URI')
    .action(later(actions, 'show'));
}
