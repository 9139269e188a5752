/**
 * Measures unpacking a signed archive beside GNU tar with zstd: ours also hashes the archive and every file, judges every name,
 * and returns when all of it is on the disk. GNU tar is measured without a sync, and with one `sync -f` after it, which is as
 * durable. No tree is removed between rounds: ext4 slows down where many files were just deleted.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packArchive, unpackArchive, type ExpectedArchive } from '@countersign/protocol/node';
import { sideBySide, timed, type Benchmark, type Row } from './measurement.ts';

interface Load {
  readonly what: string;
  readonly folders: number;
  readonly filesInEach: number;
  readonly bytes: number;
  readonly rounds: number;
}

const loads: readonly Load[] = [
  { what: 'install 10 000 files of 10 kB', folders: 100, filesInEach: 100, bytes: 10_240, rounds: 15 },
  { what: 'install five files of 100 MB', folders: 1, filesInEach: 5, bytes: 100_000_000, rounds: 9 },
];
const goal = 1.3;

function run(command: string, ...words: string[]): void {
  const { status, error, stderr } = spawnSync(command, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${error?.message ?? stderr}`);
}

/** Makes files of which a third does not compress. */
function makeTree(root: string, { folders, filesInEach, bytes }: Load): void {
  const noise = randomBytes(Math.ceil(bytes / 3));
  const text = Buffer.alloc(bytes - noise.length, 'countersign ');
  for (let folder = 0; folder < folders; folder++) {
    mkdirSync(join(root, `folder-${folder}`), { recursive: true });
    for (let file = 0; file < filesInEach; file++) {
      noise.writeUInt32LE(folder * filesInEach + file);
      writeFileSync(join(root, `folder-${folder}`, `file-${file}.bin`), Buffer.concat([noise, text]));
    }
  }
}

async function measure(load: Load, scratch: string): Promise<Row[]> {
  const sourceDir = join(scratch, 'source');
  const archive = join(scratch, 'archive.tar.zst');
  makeTree(sourceDir, load);
  const expect: ExpectedArchive = await packArchive({ sourceDir, output: archive });
  let trees = 0;
  const fresh = (): string => join(scratch, `tree-${trees++}`);
  /** Data that earlier runs left to be written must not count. */
  const settled = (work: () => unknown): Promise<number> => {
    run('sync', '-f', scratch);
    return timed(work);
  };
  const tar = (into: string): void => {
    mkdirSync(into);
    run('tar', '--zstd', '-xf', archive, '-C', into);
  };
  const [ours, durable, bare] = await sideBySide(load.rounds, [
    () => settled(() => unpackArchive({ archive, into: fresh(), expect })),
    () =>
      settled(() => {
        const into = fresh();
        tar(into);
        run('sync', '-f', into);
      }),
    () => settled(() => tar(fresh())),
  ]);
  const row = { what: load.what, unit: 'ms', ours: ours! };
  return [
    {
      ...row,
      peer: { name: 'GNU tar + sync -f', value: durable! },
      goal: { words: `≤ ${goal} × GNU tar`, met: ours! <= goal * durable! },
    },
    { ...row, what: `${load.what}, the peer not durable`, peer: { name: 'GNU tar', value: bare! } },
  ];
}

export const benchmark: Benchmark = {
  name: 'install',
  needs: ['tar', 'zstd', 'sync'],
  async run() {
    const rows: Row[] = [];
    for (const load of loads) {
      const scratch = mkdtempSync(join(tmpdir(), 'countersign-bench-install-'));
      try {
        rows.push(...(await measure(load, scratch)));
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    }
    return rows;
  },
};
