/** `countersign revoke release|certificate|key|minimum`. */
import { readFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { valid } from 'semver';
import {
  checkLeaf,
  codeOf,
  escapeText,
  keyMaterial,
  revocationsFormat,
  revocationsPath,
  type Revocations,
} from '@countersign/protocol';
import { editDocument } from '../change/change-edits.ts';
import { nextRevocations } from '../change/signing-rules.ts';
import { readPublicKey } from '../keys/key-uris.ts';
import { findArtifact, readArtifact } from '../releases/artifacts.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { given, changeWorkspace } from './session.ts';

interface RevokeFlags {
  readonly reason?: string;
  readonly from?: string;
}

type Entry = { reason: string; effective?: string };
type Apply = (workspace: Workspace, text: string, entry: Entry, revocations: Revocations) => Revocations;

/** Revokes what the text names, for the reason that is given or asked for. */
const revoke =
  (apply: Apply) =>
  (text: string, flags: RevokeFlags, command: Command): Promise<void> =>
    changeWorkspace(command, async (workspace, terminal) => {
      const reason = await given(terminal, flags.reason, '--reason', 'Why is it revoked?');
      const entry = { reason, ...(flags.from === undefined ? {} : { effective: flags.from }) };
      writeRevocations(workspace, apply(workspace, text, entry, nextRevocations(workspace)));
      return () =>
        terminal.answer({ revoked: text, reason }, () =>
          terminal.print(`${escapeText(text)} is revoked once this is published`),
        );
    });

export const release = revoke((workspace, text, { reason }, revocations) => {
  const release = digestOf(text) ?? readArtifact(workspace.directory, findArtifact(workspace.directory, text)).release;
  const others = revocations.releases.filter((one) => one.release !== release);
  return { ...revocations, releases: [...others, { release, reason }] };
});

export const certificate = revoke((_, text, entry, revocations) => {
  const tbs = digestOf(text) ?? certificateDigest(text);
  const others = revocations.certificates.filter((one) => one.tbs !== tbs);
  return { ...revocations, certificates: [...others, { tbs, ...entry }] };
});

export const key = revoke((workspace, text, entry, revocations) => {
  const spki = digestOf(text) ?? keyMaterial(readPublicKey(workspace.directory, text));
  if (!spki) throw signerError('REVOCATION', `${escapeText(text)} is no usable key`);
  return { ...revocations, keys: [...revocations.keys.filter((one) => one.spki !== spki), { spki, ...entry }] };
});

export const minimum = (component: string, version: string, _: unknown, command: Command): Promise<void> =>
  changeWorkspace(command, (workspace, terminal) => {
    if (valid(version) !== version) throw signerError('REVOCATION', `${escapeText(version)} is no version`);
    const revocations = nextRevocations(workspace);
    writeRevocations(workspace, { ...revocations, minimum: { ...revocations.minimum, [component]: version } });
    return () =>
      terminal.answer({ component, minimum: version }, () =>
        terminal.print(`${component} below ${version} is refused once this is published`),
      );
  });

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
