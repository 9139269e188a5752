import assert from 'node:assert/strict';
import fs, { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '../../text.ts';
import { PartialFile } from './partial-file.ts';

const bytes = Buffer.alloc(33 << 20, 'bytes');

for (const [what, failure] of [
  ['is dropped, even if a later sync would succeed', Object.assign(new Error('i/o error'), { code: 'EIO' })],
  ['is complete', null],
] as const)
  test(`a file whose early sync ${failure ? 'failed' : 'succeeded'} ${what}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-partial-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const early = t.mock.method(fs, 'fdatasync', (_: number, done: (error: Error | null) => void) => done(failure));
    syncBuiltinESMExports();
    const file = join(folder, 'file');
    const part = new PartialFile(file, { length: bytes.length, sha256: sha256(bytes) });
    await part.take(bytes);
    const complete = part.complete('the file');
    await (failure ? assert.rejects(complete, { code: 'FILE_WRITE' }) : complete);
    await part.close(undefined);
    early.mock.restore();
    syncBuiltinESMExports();
    assert.equal(early.mock.callCount(), 1);
    assert.deepEqual([existsSync(file), existsSync(`${file}.part`)], [failure === null, false]);
  });
