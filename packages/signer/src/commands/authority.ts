/** `countersign authority codesign|devices` and `revoke release|certificate|key|minimum`. */
import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { InvalidArgumentError, type Command } from 'commander';
import { valid } from 'semver';
import {
  checkLeaf,
  codeOf,
  escapeText,
  keyMaterial,
  revocationsFormat,
  revocationsPath,
  timeText,
  type Revocations,
} from '@countersign/protocol';
import { authorityKinds, proposeLine } from '../change/chains.ts';
import { editDocument } from '../change/change-edits.ts';
import { readDraft } from '../change/drafts.ts';
import { nextRevocations } from '../change/signing-rules.ts';
import { readPublicKey } from '../keys/key-uris.ts';
import { findArtifact, readArtifact } from '../releases/artifacts.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { given, changeWorkspace } from './session.ts';

export function addAuthorityCommands(program: Command): void {
  const authority = program.command('authority').description('whose code signatures count, and the devices policy');
  for (const kind of authorityKinds)
    authority
      .command(kind)
      .description(`propose the next version of the ${kind} authority from a draft`)
      .option('--file <draft>', 'the whole new body')
      .action((options: { file?: string }, command: Command) =>
        changeWorkspace(command, async (workspace, terminal) => {
          const file = await given(terminal, options.file, '--file', 'File with the draft');
          proposeLine(workspace, kind, readDraft(workspace, kind, file), new Date());
          return () =>
            terminal.answer({ authority: kind, file }, () =>
              terminal.print(`next version of the ${kind} authority proposed; sign the change to make it so`),
            );
        }),
      );
  addRevokeCommands(program.command('revoke').description('say what is no longer believed'));
}

interface RevokeFlags {
  readonly reason?: string;
  readonly from?: string;
}

type Entry = { reason: string; effective?: string };

function addRevokeCommands(revoke: Command): void {
  const add = (
    name: string,
    argument: string,
    words: string,
    apply: (workspace: Workspace, text: string, entry: Entry, revocations: Revocations) => Revocations,
  ): void => {
    const command = revoke.command(`${name} ${argument}`).description(words).option('--reason <text>', 'why');
    if (name !== 'release')
      command.option('--from <time>', 'only signatures timestamped at or after this time', timeOf);
    command.action((text: string, flags: RevokeFlags, own: Command) =>
      changeWorkspace(own, async (workspace, terminal) => {
        const reason = await given(terminal, flags.reason, '--reason', 'Why is it revoked?');
        const entry = { reason, ...(flags.from === undefined ? {} : { effective: flags.from }) };
        writeRevocations(workspace, apply(workspace, text, entry, nextRevocations(workspace)));
        return () =>
          terminal.answer({ revoked: text, reason }, () =>
            terminal.print(`${escapeText(text)} is revoked once this is published`),
          );
      }),
    );
  };
  add('release', '<release>', 'a release: NAME@VERSION or sha256:HEX', (workspace, text, { reason }, revocations) => {
    const release =
      digestOf(text) ?? readArtifact(workspace.directory, findArtifact(workspace.directory, text)).release;
    const others = revocations.releases.filter((one) => one.release !== release);
    return { ...revocations, releases: [...others, { release, reason }] };
  });
  add(
    'certificate',
    '<certificate>',
    'a code-signing certificate: PEM file or sha256:HEX of its tbsCertificate',
    (_, text, entry, revocations) => {
      const tbs = digestOf(text) ?? certificateDigest(text);
      return {
        ...revocations,
        certificates: [...revocations.certificates.filter((one) => one.tbs !== tbs), { tbs, ...entry }],
      };
    },
  );
  add('key', '<key>', 'a code-signing key: NAME or sha256:HEX of its SPKI', (workspace, text, entry, revocations) => {
    const spki = digestOf(text) ?? keyMaterial(readPublicKey(workspace.directory, text));
    if (!spki) throw signerError('REVOCATION', `${escapeText(text)} is no usable key`);
    return { ...revocations, keys: [...revocations.keys.filter((one) => one.spki !== spki), { spki, ...entry }] };
  });
  revoke
    .command('minimum <component> <version>')
    .description('nothing below that version is installed, nor rolled back to')
    .action((component: string, version: string, _: unknown, command: Command) =>
      changeWorkspace(command, (workspace, terminal) => {
        if (valid(version) !== version) throw signerError('REVOCATION', `${escapeText(version)} is no version`);
        const revocations = nextRevocations(workspace);
        writeRevocations(workspace, { ...revocations, minimum: { ...revocations.minimum, [component]: version } });
        return () =>
          terminal.answer({ component, minimum: version }, () =>
            terminal.print(`${component} below ${version} is refused once this is published`),
          );
      }),
    );
}

const writeRevocations = (workspace: Workspace, revocations: Revocations): void =>
  void editDocument(workspace, 'revocations', revocationsPath, revocationsFormat.serialize(revocations), new Date());

function digestOf(text: string): string | null {
  const digest = /^sha256:([0-9a-f]{64})$/.exec(text)?.[1];
  if (!digest && text.startsWith('sha256:')) throw signerError('REVOCATION', 'sha256: needs 64 hexadecimal digits');
  return digest ?? null;
}

function certificateDigest(file: string): string {
  try {
    return checkLeaf(new X509Certificate(readFileSync(file)).raw).tbs;
  } catch (cause) {
    throw signerError('REVOCATION', `${file} is no certificate that can be read: ${codeOf(cause) ?? 'not PEM'}`, {
      cause,
    });
  }
}

function timeOf(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('not a time');
  return timeText(time);
}
