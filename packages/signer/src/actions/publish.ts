/** `countersign publish` and `verify`. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { terminalOf } from '@countersign/protocol/terminal';
import { acceptPublished, publish, readApiKey } from '../publishing/publishing.ts';
import { keepPackage, readPackage } from '../publishing/shipped-package.ts';
import { verifyRepository } from '../publishing/verification.ts';
import { signerError } from '../workspace/errors.ts';
import { editWorkspace } from '../workspace/workspace-editing.ts';
import { given, withWorkspace, workspaceFolder } from './session.ts';

export const publishChange = (options: { to?: string; apiKeyFile?: string }, command: Command): Promise<void> =>
  withWorkspace(command, async (workspace, terminal) => {
    const server = await given(terminal, options.to, '--to', 'Address of the server');
    const file = await given(terminal, options.apiKeyFile, '--api-key-file', 'File with the API key');
    const bar = terminal.progress('uploading', 1);
    const published = await publish(workspace, server, readApiKey(file), (done, total) =>
      bar.update(total === 0 ? 1 : done / total),
    ).finally(() => bar.end());
    await editWorkspace(workspace, acceptPublished);
    keepPackage(workspace);
    terminal.answer({ published: server, ...published }, () => {
      terminal.print(`published: snapshot ${published.snapshot}, timestamp ${published.timestamp}`);
      if (published.scanned === false) terminal.note('no malware scanner is configured at the server');
    });
  });

export async function verify(place: string, options: { package?: string }, command: Command): Promise<void> {
  const terminal = terminalOf(command);
  const folder = resolve(options.package ?? join(workspaceFolder(command), 'package'));
  const shipped = readPackage((name) => join(folder, name));
  if (!shipped)
    throw signerError('WORKSPACE_MISSING', `${folder} is no shipped package`, {
      hint: 'name the folder with root.json, codesign.jsonl and devices.jsonl: --package FOLDER',
    });
  const bar = terminal.progress('checking files', 1);
  const verified = await verifyRepository(place, shipped, new Date(), (done, total) =>
    bar.update(total === 0 ? 1 : done / total),
  ).finally(() => bar.end());
  const bad = verified.offers.filter(({ verdict }) => verdict !== 'good');
  if (bad.length > 0) process.exitCode = 1;
  terminal.answer(verified, () => {
    terminal.print(
      `both verifiers agree: root ${verified.root}, snapshot ${verified.snapshot}, timestamp ${verified.timestamp}`,
    );
    terminal.table(
      ['channel', 'component', 'version', 'platform', 'a device says'],
      verified.offers.map((one) => [one.channel, one.component, one.version, one.platform, one.verdict]),
    );
    for (const { component, version, verdict, reason } of bad)
      terminal.print(`${component} ${version} would be refused: ${reason} (${verdict})`);
  });
}
