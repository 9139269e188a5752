/** `countersign-server serve`. */
import { later } from '@countersign/protocol/terminal';
import { InvalidArgumentError, type Command } from 'commander';

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
    .action(later(() => import('../actions/serve.ts'), 'serve'));
}
