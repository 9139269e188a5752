/** Runs one command of `countersign` inside the test and captures all its output. */
import { runCommand } from '../../packages/protocol/src/node/terminal.ts';
import { signerProgram } from '../../packages/signer/src/program.ts';

export interface CommandOutput {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** The last line of stdout as JSON. */
  json<T>(): T;
}

type Write = typeof process.stdout.write;

/** One at a time, because it replaces the process's own output. */
export async function commandOutput(argv: readonly string[]): Promise<CommandOutput> {
  const said = { stdout: '', stderr: '' };
  const streams = ['stdout', 'stderr'] as const;
  const originals = streams.map((name) => process[name].write);
  for (const [index, name] of streams.entries())
    // What the test runner reports is bytes and passes through.
    process[name].write = ((...words: Parameters<Write>) => {
      if (typeof words[0] !== 'string') return originals[index]!.apply(process[name], words);
      said[name] += words[0];
      return true;
    }) as Write;
  try {
    const code = await runCommand(signerProgram(), argv);
    process.exitCode = 0;
    return {
      code,
      out: said.stdout,
      err: said.stderr,
      json: <T>() => JSON.parse(said.stdout.trimEnd().split('\n').at(-1)!) as T,
    };
  } finally {
    streams.forEach((name, index) => (process[name].write = originals[index]!));
  }
}
