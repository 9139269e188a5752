/** `countersign sign RELEASE`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { addPassphraseOption } from './key-options.ts';

export function addSign(program: Command): void {
  const command = program
    .command('sign')
    .description('code-sign a packed release; each signer adds one signature to it')
    .argument('<release>', 'NAME@VERSION, or NAME@VERSION:PLATFORM')
    .option('--certificate <file>', 'PEM file of the code-signing certificate, the leaf first')
    .option('--private-key <key>', 'its private key: a PEM file, encrypted or not, or a key URI')
    .option('--timestamp-url <url>', 'the RFC 3161 time-stamping service of the certificate authority')
    .option(
      '--key <uri>',
      'sign with a key that the codesign authority pins: for tests, and until there is a certificate',
    );
  addPassphraseOption(command).action(later(() => import('../actions/sign.ts'), 'sign'));
}
