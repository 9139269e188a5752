import assert from 'node:assert/strict';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { diagnose } from '@countersign/protocol/terminal';
import { PublishedRepository } from '../../../test/support/published-repository.ts';
import { makeServerFolder } from '../../../test/support/publishing.ts';
import { serverChecks } from './doctor.ts';
import { DirectoryStore } from './repository-stores/directory.ts';

test('each fault of a server’s folder is found, and none hides another', async (t) => {
  const { directory } = makeServerFolder(new PublishedRepository());
  t.after(() => rmSync(directory, { recursive: true }));
  const secret = join(directory, 'server', 'online-keys.secret.json');
  const codes = async (): Promise<string[]> =>
    (await diagnose(serverChecks(directory, (folder) => new DirectoryStore(folder), new Date())))
      .map(({ code }) => code)
      .filter((code) => code !== 'DISK_LOW');
  // It was never started: it has no package, and nothing is published.
  const missing = ['PACKAGE_MISSING', 'PACKAGE_MISSING', 'PACKAGE_MISSING'];
  assert.deepEqual(await codes(), [...missing, 'NOTHING_PUBLISHED']);
  if (process.platform !== 'win32') {
    chmodSync(secret, 0o644);
    assert.deepEqual(await codes(), ['ONLINE_KEYS_OPEN', ...missing, 'NOTHING_PUBLISHED']);
  }
  writeFileSync(join(directory, 'server', 'root.json'), '{}');
  writeFileSync(secret, 'not keys');
  const unreadable = (await codes()).filter((code) => code === 'FORMAT_JSON');
  assert.equal(unreadable.length, 3);
  assert.equal((await codes()).filter((code) => code === 'PACKAGE_MISSING').length, 2);
  rmSync(secret);
  assert.equal((await codes()).filter((code) => code === 'SERVER_MISSING').length, 3);
});
