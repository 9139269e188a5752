/** `countersign publish` and `verify`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

const actions = () => import('../actions/publish.ts');

export function addPublishCommands(program: Command): void {
  program
    .command('publish')
    .description('hand the signed change to a repository server')
    .option('--to <url>', 'the server')
    .option('--api-key-file <file>', "file whose first line is the publisher's API key")
    .action(later(actions, 'publishChange'));
  program
    .command('verify <place>')
    .description('judge a repository (URL or folder) as a device would, down to the last byte of every offered file')
    .option('--package <folder>', 'what ships with a device (usual: the one of the workspace)')
    .action(later(actions, 'verify'));
}
