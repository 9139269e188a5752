/** `countersign sign RELEASE`: by a certificate with a timestamp, or by a pinned key. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { escapeText } from '@countersign/protocol';
import { nodeError } from '@countersign/protocol/node';
import { terminalOf, type Terminal } from '@countersign/protocol/terminal';
import { readSigningRules } from '../change/signing-rules.ts';
import { openCertificate, openPinnedKey } from '../code-signing/signing-keys.ts';
import { signRelease, type Signed } from '../code-signing/signing.ts';
import type { CertificateSigner, KeySigner } from '../code-signing/statement-signer.ts';
import { passphrasesOf } from '../keys/passphrases.ts';
import { findArtifact, releaseWords } from '../releases/artifacts.ts';
import { given } from './session.ts';

interface SignCommandOptions {
  readonly certificate?: string;
  readonly privateKey?: string;
  readonly timestampUrl?: string;
  readonly key?: string;
  readonly passphraseFile?: string[];
}

export async function sign(release: string, options: SignCommandOptions, command: Command): Promise<void> {
  const workspace = resolve(command.optsWithGlobals<{ workspace?: string }>().workspace ?? '.');
  const terminal = terminalOf(command);
  for (const flag of ['certificate', 'privateKey', 'timestampUrl'] as const)
    if (options.key !== undefined && options[flag] !== undefined)
      throw nodeError('USAGE', '--key signs by itself: without --certificate, --private-key and --timestamp-url');
  const name = findArtifact(workspace, release);
  const rules = readSigningRules(workspace);
  const signer = await openSigner(workspace, options, command, terminal);
  let progress: ReturnType<Terminal['progress']> | undefined;
  let signed: Signed;
  try {
    signed = await signRelease({
      workspace,
      name,
      signer,
      rules,
      onProgress: (done, total) =>
        (progress ??= terminal.progress(`checking ${releaseWords(name)}`, total)).update(done),
    });
  } finally {
    progress?.end();
  }
  const { matching, signature, refused, ...rest } = signed;
  const answer = {
    ...name,
    ...rest,
    identity: signature?.identity ?? null,
    times: signature?.times ?? [],
    roles: matching?.filled ?? null,
    missing: matching?.short ?? null,
    refused,
  };
  terminal.answer(answer, () => {
    terminal.print(`${signed.outcome} one signature of ${releaseWords(name)}, which now has ${signed.lines}`);
    terminal.print(`release ${signed.release}`);
    for (const line of refused) terminal.warn(`does not count: ${escapeText(line)}`);
    if (!matching)
      return terminal.note('there is no codesign authority here yet, so nothing says whether it will count');
    for (const [role, identities] of Object.entries(matching.filled))
      terminal.print(`role ${role}: ${identities.length === 0 ? 'nobody' : identities.join(', ')}`);
    for (const { role, have, need } of matching.short)
      terminal.print(`role ${role} lacks ${need - have} of ${need} signatures`);
    if (matching.short.length === 0) terminal.print(`complete; next: countersign release add ${releaseWords(name)}`);
  });
}

async function openSigner(
  workspace: string,
  options: SignCommandOptions,
  command: Command,
  terminal: Terminal,
): Promise<CertificateSigner | KeySigner> {
  const { key, certificate, privateKey, timestampUrl } = options;
  const passphrases = passphrasesOf(command, options);
  if (key !== undefined) return openPinnedKey(workspace, key, passphrases);
  const source = {
    certificate: await given(terminal, certificate, '--certificate', 'PEM file of the code-signing certificate'),
    privateKey: await given(terminal, privateKey, '--private-key', 'Its private key: PEM file or key URI'),
    timestampUrl: await given(terminal, timestampUrl, '--timestamp-url', 'Address of the time-stamping service'),
  };
  return openCertificate(workspace, source, passphrases);
}
