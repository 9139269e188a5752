/**
 * Measures packing a folder beside node-tar alone, which walks the folder itself and compresses with the same zstd at the same
 * level. Ours also judges every name and number, reads each file through one handle, passes the tar through the device's reader,
 * hashes the archive and returns when it is on the disk.
 */
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { packArchive } from '@countersign/protocol/node';
import { create } from 'tar';
import { sideBySide, timed, type Benchmark, type Row } from './measurement.ts';

const loads = [
  { what: 'pack 10 000 files of 10 kB', files: 10_000, bytes: 10_240, rounds: 9 },
  { what: 'pack a file of 300 MB', files: 1, bytes: 300_000_000, rounds: 7 },
];

async function measure({ what, files, bytes, rounds }: (typeof loads)[number], scratch: string): Promise<Row> {
  const sourceDir = join(scratch, 'source');
  const noise = randomBytes(Math.ceil(bytes / 3));
  const text = Buffer.alloc(bytes - noise.length, 'countersign ');
  for (let file = 0; file < files; file++) {
    const folder = join(sourceDir, `folder-${file % 100}`);
    mkdirSync(folder, { recursive: true });
    noise.writeUInt32LE(file);
    writeFileSync(join(folder, `file-${file}.bin`), Buffer.concat([noise, text]));
  }
  const byNodeTar = (): Promise<void> =>
    pipeline(
      create({ cwd: sourceDir, portable: true, noPax: true, mtime: new Date(0) }, [
        '.',
      ]) as unknown as NodeJS.ReadableStream,
      createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 9 } }),
      createWriteStream(join(scratch, 'theirs.tar.zst')),
    );
  const [ours, theirs] = await sideBySide(rounds, [
    () => timed(() => packArchive({ sourceDir, output: join(scratch, 'ours.tar.zst') })),
    () => timed(byNodeTar),
  ]);
  return { what, unit: 'ms', ours: ours!, peer: { name: 'node-tar alone', value: theirs! } };
}

export const benchmark: Benchmark = {
  name: 'Packing',
  needs: [],
  async run() {
    const rows: Row[] = [];
    for (const load of loads) {
      const scratch = mkdtempSync(join(tmpdir(), 'countersign-bench-pack-'));
      try {
        rows.push(await measure(load, scratch));
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    }
    return rows;
  },
};
