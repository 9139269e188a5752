import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { diagnose } from '@countersign/protocol/terminal';
import { publishedTeam, type ReleaseTeam } from '../../../../test/support/release-team.ts';
import { openWorkspace } from '../workspace/workspace-editing.ts';
import { workspaceChecks } from './doctor.ts';

let made: ReleaseTeam;
before(async () => (made = await publishedTeam()));
after(() => made.remove());

const codesOf = async (team: ReleaseTeam, now = new Date()): Promise<string[]> =>
  (await diagnose(workspaceChecks(openWorkspace(team.alice.workspace), now))).map(({ code }) => code);

test('nothing is found in a workspace whose change is published', async () =>
  assert.deepEqual(await codesOf(made), []));

test('a change that waits is found, for signatures first and then for publishing', async (t) => {
  const team = made.copy(t);
  await team.alice.quick('renew', 'channels');
  assert.deepEqual(await codesOf(team), ['CHANGE_UNSIGNED']);
  await team.alice.quick(...team.bothSign);
  assert.deepEqual(await codesOf(team), ['CHANGE_READY']);
});

test('roles near their end are found, each with the command that renews it', async () => {
  const codes = await codesOf(made, new Date(Date.now() + 80 * 24 * 3_600_000));
  assert.deepEqual([...new Set(codes)], ['ROLE_EXPIRES']);
});

test('a key, an artifact, a document and the package that are damaged are found together', async (t) => {
  const team = made.copy(t);
  const workspace = openWorkspace(team.alice.workspace);
  writeFileSync(join(workspace.directory, 'keys', 'alice.pub.json'), 'no key');
  writeFileSync(workspace.file('artifacts', 'app', '1.0.0', 'any.base.tar.zst'), 'no archive');
  rmSync(workspace.file('package', 'root.json'));
  writeFileSync(workspace.stateFile('trusted', 'targets', 'channels', 'stable.json'), 'no channel');
  assert.deepEqual(await codesOf(team), ['KEY_FILE', 'ARTIFACT_DAMAGED', 'WORKSPACE_DAMAGED', 'PACKAGE_MISSING']);
});
