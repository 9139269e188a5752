/** `countersign pack FOLDER`. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { terminalOf, type ProgressBar } from '@countersign/protocol/terminal';
import { releaseWords } from '../releases/artifacts.ts';
import { packComponent } from '../releases/packing.ts';

export async function pack(folder: string, options: { replace?: true }, command: Command): Promise<void> {
  const { workspace = '.' } = command.optsWithGlobals<{ workspace?: string }>();
  const terminal = terminalOf(command);
  let shown: { readonly what: string; readonly progress: ProgressBar } | undefined;
  const finish = (): void => shown?.progress.end();
  try {
    const { artifact, outcome } = await packComponent({
      workspace: resolve(workspace),
      folder: resolve(folder),
      existing: options.replace ? 'replace' : 'refuse',
      onProgress: (what, done, total) => {
        if (shown?.what !== what) {
          finish();
          shown = { what, progress: terminal.progress(`packing ${what}`, total) };
        }
        shown.progress.update(done);
      },
    });
    finish();
    const files = artifact.files.map(({ path, length, sha256 }) => ({ path, length, sha256 }));
    terminal.answer({ ...artifact.name, release: artifact.release, outcome, files }, () => {
      terminal.table(
        ['file', 'bytes', 'unpacked', 'files'],
        artifact.statement.subject.map(({ name, annotations: { length, unpacked, files: count } }) => [
          name,
          String(length),
          String(unpacked ?? ''),
          String(count ?? ''),
        ]),
      );
      terminal.print(`release ${artifact.release}`);
      terminal.print(
        outcome === 'unchanged'
          ? `${releaseWords(artifact.name)} was packed before, with the same bytes`
          : `${outcome} ${releaseWords(artifact.name)}; next: countersign sign ${releaseWords(artifact.name)}`,
      );
    });
  } finally {
    finish();
  }
}
