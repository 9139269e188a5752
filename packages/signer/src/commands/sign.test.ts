/** The flags of `sign`: which go together, and which are required where nobody can be asked. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { writeComponents } from '../../../../fixtures/component-folders.ts';
import { commandOutput } from '../../../../test/support/command-output.ts';
import { packComponent } from '../releases/packing.ts';

const workspace = mkdtempSync(join(tmpdir(), 'countersign-sign-command-'));
after(() => rmSync(workspace, { recursive: true, force: true }));

async function refusal(...words: string[]) {
  const output = await commandOutput(['--workspace', workspace, 'sign', ...words, '--json']);
  return { exit: output.code, ...output.json<{ error: { code: string; message: string } }>().error };
}

test('a pinned key goes with none of the flags of a certificate', async () => {
  for (const flag of ['--certificate', '--private-key', '--timestamp-url']) {
    const { exit, code } = await refusal('x@1.0.0', '--key', 'k', flag, 'x');
    assert.deepEqual([exit, code], [2, 'USAGE'], flag);
  }
});

test('a release must be named and packed', async () => {
  assert.equal((await refusal('x', '--key', 'k')).code, 'ARTIFACT_NAME');
  assert.equal((await refusal('x@1.0.0', '--key', 'k')).code, 'ARTIFACT_MISSING');
});

test('names the flag that is missing', async () => {
  const folder = writeComponents(join(workspace, 'components'), { only: ['notification-client@1.4.0'] })[0]!;
  await packComponent({ workspace, folder });
  const given: string[] = [];
  for (const flag of ['--certificate', '--private-key', '--timestamp-url']) {
    const { code, message } = await refusal('notification-client@1.4.0', ...given);
    assert.equal(code, 'OPTION_NEEDED');
    assert.match(message, new RegExp(flag));
    given.push(flag, 'x');
  }
});
