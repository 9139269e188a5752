/** Row 6: an archive that everybody signed and that is still hostile. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { codeOf } from '@countersign/protocol';
import { rawTar, zstd, type RawEntry } from '../support/hostile-tar.ts';
import { installedApp } from '../support/installed-app.ts';
import type { TestArchive } from '../support/release-files.ts';

const archive = (entries: RawEntry[], declared: Partial<TestArchive> = {}): TestArchive => ({
  bytes: zstd(rawTar(...entries)),
  unpacked: entries.reduce((sum, { content = '' }) => sum + content.length, 0),
  files: entries.filter(({ type = '0' }) => type === '0').length,
  ...declared,
});
const good = { name: 'version', content: '2.0.0' };

const hostile: readonly (readonly [name: string, code: string, archive: TestArchive])[] = [
  ['a symbolic link out of it', 'ARCHIVE_ENTRY', archive([good, { name: 'out', type: '2', link: '../../device.db' }])],
  ['a hard link', 'ARCHIVE_ENTRY', archive([good, { name: 'again', type: '1', link: 'version' }])],
  ['a file above its folder', 'ARCHIVE_NAME', archive([good, { name: '../../grants/app.json', content: '{}' }])],
  ['an absolute name', 'ARCHIVE_NAME', archive([good, { name: '/etc/cron.d/evil', content: 'x' }])],
  ['setuid', 'ARCHIVE_ENTRY', archive([{ ...good, mode: '0004755' }])],
  ['names equal but for case', 'ARCHIVE_COLLISION', archive([good, { name: 'Version', content: '2' }])],
  ['a name reserved on Windows', 'ARCHIVE_NAME', archive([good, { name: 'bin/con.exe', content: '2' }])],
  ['a device', 'ARCHIVE_ENTRY', archive([good, { name: 'disk', type: '4' }])],
  [
    'a bomb: more bytes than declared',
    'ARCHIVE_DECLARED',
    archive([{ name: 'zeros', content: Buffer.alloc(64 << 20) }], { unpacked: 1000, files: 1 }),
  ],
  [
    'a bomb: more files than declared',
    'ARCHIVE_DECLARED',
    archive(
      Array.from({ length: 3000 }, (_, index) => ({ name: `${index}` })),
      { files: 5 },
    ),
  ],
  [
    'a second frame behind the first',
    'ARCHIVE_DAMAGED',
    { ...archive([good]), bytes: Buffer.concat([zstd(rawTar(good)), zstd(rawTar(good))]) },
  ],
];

test('row 6: a hostile archive is refused before anything leaves staging', async (t) => {
  const { device, publish, approve, install, runs } = await installedApp(t);
  const files = (): string[] =>
    globSync('{store,grants,data}/**', { cwd: device.directory }).filter((name) => !name.endsWith('log'));
  const before = files();
  const neighbours = readdirSync(dirname(device.directory));
  let patch = 0;
  for (const [name, code, base] of hostile)
    await t.test(name, async () => {
      await publish(`2.0.${patch++}`, { archive: base });
      await approve();
      await assert.rejects(install(), (error) => {
        assert.equal(codeOf(error), code, String(error));
        return true;
      });
      assert.deepEqual(files(), before);
      assert.deepEqual(readdirSync(dirname(device.directory)), neighbours);
      assert.deepEqual(
        readdirSync(join(device.directory, 'staging')).filter((left) => left.startsWith('unpack-')),
        [],
      );
      assert.equal(existsSync('/etc/cron.d/evil'), false);
      await runs('1.0.0');
    });
  await publish('3.0.0');
  await approve();
  assert.equal((await install()).outcome, 'committed');
  await runs('3.0.0');
});
