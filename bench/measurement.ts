/** What every benchmark shares: medians of interleaved runs, and the shape of a row in bench/RESULTS.md. */

export interface Row {
  /** What was done, such as "unchanged poll, 100 000 targets". */
  readonly what: string;
  readonly unit: string;
  readonly ours: number;
  /** The program with which it is compared, in the same run. */
  readonly peer?: { readonly name: string; readonly value: number };
  /** The goal in words, and whether this run met it. */
  readonly goal?: { readonly words: string; readonly met: boolean };
}

export interface Benchmark {
  readonly name: string;
  /** Programs outside npm with which it compares, by command name. */
  readonly needs: readonly string[];
  run(): Promise<readonly Row[]>;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Milliseconds of one run. */
export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Medians of `rounds` runs of each subject, taken in turn so that changes of the machine's speed affect all of them alike. */
export async function sideBySide(
  rounds: number,
  subjects: readonly (() => Promise<number> | number)[],
): Promise<number[]> {
  const values: number[][] = subjects.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [index, subject] of subjects.entries()) values[index]!.push(await subject());
  return values.map(median);
}

/** Ours divided by the peer's. */
export const ratioOf = (row: Row): number | undefined => (row.peer ? row.ours / row.peer.value : undefined);
