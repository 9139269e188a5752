/** `countersign-device init`. */
import { later } from '@countersign/protocol/terminal';
import { InvalidArgumentError, type Command } from 'commander';

export function addInit(program: Command): void {
  program
    .command('init')
    .description('make this PC a device')
    .requiredOption('--server <url...>', 'repository server, the first that answers is used', collectUrl)
    .option('--host <name...>', 'hosts the device may talk to (default: those of the servers)')
    .option('--region <name>', 'region of the vendor policy', 'global')
    .requiredOption(
      '--model <name>',
      'instrument model; one the vendor does not name counts as holding personal health information',
    )
    .requiredOption('--serial <text>', 'serial number of the instrument')
    .requiredOption('--package <folder>', 'the shipped package: root.json, codesign.jsonl, devices.jsonl')
    .option('--channel <name>', 'channel to follow', 'stable')
    .action(later(() => import('../actions/init.ts'), 'init'));
}

/** Server URLs: https, or http on this machine's own loopback (tests and the demo). Always ending in a slash. */
function collectUrl(text: string, before: readonly string[] | undefined): string[] {
  let url: URL;
  try {
    url = new URL(text.endsWith('/') ? text : `${text}/`);
  } catch {
    throw new InvalidArgumentError('not a URL');
  }
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback))
    throw new InvalidArgumentError('only https is used, http on loopback alone');
  if (url.username || url.password || url.search || url.hash)
    throw new InvalidArgumentError('neither a password nor a query belongs in it');
  return [...(before ?? []), url.href];
}
