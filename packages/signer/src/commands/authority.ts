/** `countersign authority codesign|devices` and `revoke release|certificate|key|minimum`. */
import { later, timeOption } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

const actions = () => import('../actions/authority.ts');
const revocations = () => import('../actions/revoke.ts');

export function addAuthorityCommands(program: Command): void {
  const authority = program.command('authority').description('whose code signatures count, and the devices policy');
  for (const kind of ['codesign', 'devices'] as const)
    authority
      .command(kind)
      .description(`propose the next version of the ${kind} authority from a draft`)
      .option('--file <draft>', 'the whole new body')
      .action(later(actions, kind));
  addRevokeCommands(program.command('revoke').description('say what is no longer believed'));
}

function addRevokeCommands(revoke: Command): void {
  const add = (name: string, words: string): Command =>
    revoke.command(name).description(words).option('--reason <text>', 'why');
  const addFrom = (command: Command): Command =>
    command.option('--from <time>', 'only signatures timestamped at or after this time', timeOption);
  add('release <release>', 'a release: NAME@VERSION or sha256:HEX').action(later(revocations, 'release'));
  addFrom(
    add('certificate <certificate>', 'a code-signing certificate: PEM file or sha256:HEX of its tbsCertificate'),
  ).action(later(revocations, 'certificate'));
  addFrom(add('key <key>', 'a code-signing key: NAME or sha256:HEX of its SPKI')).action(later(revocations, 'key'));
  revoke
    .command('minimum <component> <version>')
    .description('nothing below that version is installed, nor rolled back to')
    .action(later(revocations, 'minimum'));
}
