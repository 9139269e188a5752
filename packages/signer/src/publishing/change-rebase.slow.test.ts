/** A change made again on top of what somebody else published meanwhile: the work of both is kept, contradictions are refused. */
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { after, before, test, type TestContext } from 'node:test';
import { newTeam, publishedTeam, type ReleaseTeam } from '../../../../test/support/release-team.ts';
import { filesIn, SignerProgram } from '../../../../test/support/signer-program.ts';
import { nextChannel } from '../change/releases.ts';
import { nextRevocations } from '../change/signing-rules.ts';
import { Workspace } from '../workspace/workspace.ts';

let made: ReleaseTeam;
before(async () => {
  made = await publishedTeam();
  await made.pack('1.1.0');
  await made.pack('1.2.0');
});
after(() => made.remove());

/** Two workspaces that start from the same published state, a server, and the ways to it. */
async function scene(t: TestContext) {
  const team = made.copy(t);
  cpSync(team.alice.workspace, team.path('other'), { recursive: true });
  const [mine, theirs] = [team.alice, new SignerProgram(team.path('other'))];
  await team.serveHere(t);
  const publish = async (signer: SignerProgram): Promise<void> => {
    await signer.quick(...team.bothSign);
    await signer.quick(...team.publish);
  };
  const rebase = async (): Promise<string[]> =>
    (await mine.quick<{ roles: string[] }>('change', 'rebase', team.url)).roles;
  const conflicts = async (words: RegExp): Promise<void> => {
    const state = filesIn(mine.workspace);
    assert.match((await mine.quickRefused('CHANGE_CONFLICT', 'change', 'rebase', team.url)).message, words);
    assert.deepEqual(filesIn(mine.workspace), state, 'a refused rebase changes nothing');
  };
  return { team, mine, theirs, publish, rebase, conflicts };
}
const offersOf = (signer: SignerProgram): string[] =>
  nextChannel(new Workspace(signer.workspace), 'stable')!.offers.map(({ version }) => version);

test('releases and offers of both are there afterwards, each once', async (t) => {
  const { team, mine, theirs, publish, rebase } = await scene(t);
  await theirs.quick('release', 'add', 'app@1.1.0');
  await theirs.quick('channel', 'offer', 'app@1.1.0');
  await theirs.quick('channel', 'block', 'app@0.9.0', '--reason', 'too old');
  await publish(theirs);
  await mine.quick('release', 'add', 'app@1.2.0');
  await mine.quick('channel', 'offer', 'app@1.2.0');
  await mine.quick('channel', 'withdraw', 'app@1.0.0');
  await mine.quick(...team.bothSign);
  const refused = await mine.quickRefused('PUBLISH_CONFLICT', ...team.publish);
  assert.match(refused.hint, /rebase/);
  assert.deepEqual(await rebase(), ['channels', 'component-app']);
  await mine.quickRefused('CHANGE_UNSIGNED', ...team.publish);
  await publish(mine);
  assert.deepEqual(offersOf(mine), ['1.1.0', '1.2.0']);
  assert.equal(nextChannel(new Workspace(mine.workspace), 'stable')!.blocked.length, 1);
  await mine.quick('verify', team.url);
  assert.deepEqual(await rebase(), []);
});

test('revocations add up: nothing revoked gets lost, no minimum sinks', async (t) => {
  const { team, mine, theirs, publish, rebase } = await scene(t);
  await mine.quick('revoke', 'minimum', 'app', '0.1.0');
  await publish(mine);
  await theirs.quick('change', 'rebase', team.url);
  await theirs.quick('revoke', 'release', 'app@1.1.0', '--reason', 'theirs');
  await theirs.quick('revoke', 'minimum', 'app', '0.5.0');
  await publish(theirs);
  await mine.quick('revoke', 'release', 'app@1.1.0', '--reason', 'mine');
  await mine.quick('revoke', 'release', 'app@1.2.0', '--reason', 'mine too');
  await mine.quick('revoke', 'key', 'code', '--reason', 'lost');
  await mine.quick('revoke', 'minimum', 'diagnostics', '2.0.0');
  await rebase();
  const { releases, minimum, keys } = nextRevocations(new Workspace(mine.workspace));
  assert.deepEqual(releases.map(({ reason }) => reason).sort(), ['mine too', 'theirs']);
  assert.deepEqual(minimum, { app: '0.5.0', diagnostics: '2.0.0' });
  assert.equal(keys.length, 1);
});

test('a renewal is made again, but not of what somebody else published meanwhile', async (t) => {
  const { mine, theirs, publish, rebase } = await scene(t);
  await theirs.quick('renew', 'channels');
  await publish(theirs);
  await mine.quick('renew', 'channels', 'targets', 'component-app');
  assert.deepEqual(await rebase(), ['component-app', 'targets']);
});

test('targets are signed anew by the keys that a new root gives them, also on top of other targets', async (t) => {
  const { team, mine, theirs, publish, rebase } = await scene(t);
  await mine.quick('role', 'keys', 'targets', '--role-key', 'alice', 'code');
  await theirs.quick('role', 'keys', 'component-app', '--role-key', 'alice', 'bob', 'code');
  await publish(theirs);
  assert.deepEqual(await rebase(), ['root', 'targets']);
  await mine.quick('change', 'sign', '--key', 'code', ...team.secret);
  await publish(mine);
  await mine.quick('verify', team.url);
});

test('what was published from here, and nobody heard of it, is over', async (t) => {
  const { team, mine, theirs, rebase } = await scene(t);
  await mine.quick('renew', 'revocations');
  await mine.quick('authority', 'devices', '--file', team.writeDraft('devices', {}));
  await mine.quick(...team.bothSign);
  // The server's answer got lost: here another workspace receives it.
  rmSync(theirs.workspace, { recursive: true });
  cpSync(mine.workspace, theirs.workspace, { recursive: true });
  await theirs.quick(...team.publish);
  assert.deepEqual(await rebase(), []);
  await mine.quickRefused('CHANGE_EMPTY', ...team.publish);
});

test('keys that both gave alike are given once; a role with other keys by each is refused', async (t) => {
  const { team, mine, theirs, publish, rebase, conflicts } = await scene(t);
  const keys = ['role', 'keys', 'component-app', '--role-key'];
  await theirs.quick(...keys, 'alice', 'bob', 'code', '--threshold', '2');
  await publish(theirs);
  await mine.quick(...keys, 'alice', 'bob', 'code', '--threshold', '2');
  assert.deepEqual(await rebase(), []);
  await mine.quick(...keys, 'alice', 'bob', '--threshold', '2');
  await theirs.quick(...keys, 'bob', 'alice', 'code', '--threshold', '1');
  await publish(theirs);
  await conflicts(/who signs component-app was changed by somebody else too/);
  await mine.quick('change', 'discard');
  await mine.quick('change', 'rebase', team.url);
});

const contradictions: [string, string[], string[], RegExp][] = [
  [
    'one offer changed in two ways',
    ['channel', 'rollout', 'app@1.0.0', '--stage', '24:50'],
    ['channel', 'rollout', 'app@1.0.0', '--stage', '48:50'],
    /app 1\.0\.0 any was changed by somebody else too/,
  ],
  [
    'an offer withdrawn here and changed there',
    ['channel', 'withdraw', 'app@1.0.0'],
    ['channel', 'rollout', 'app@1.0.0', '--stage', '48:50'],
    /app 1\.0\.0 any was changed by somebody else too/,
  ],
  [
    'a new root on both sides',
    ['role', 'keys', 'root', '--role-key', 'alice', 'bob', 'code'],
    ['role', 'keys', 'root', '--role-key', 'bob', 'alice', 'alice-chain'],
    /root 2 was published meanwhile/,
  ],
];
for (const [what, here, there, words] of contradictions)
  test(`refuses ${what}, and keeps the change as it was`, async (t) => {
    const { mine, theirs, publish, conflicts } = await scene(t);
    await mine.quick(...here);
    await theirs.quick(...there);
    await publish(theirs);
    await conflicts(words);
  });

test('refuses one version with two contents, and two versions of one authority', async (t) => {
  const { team, mine, theirs, publish, conflicts } = await scene(t);
  await mine.quick('pack', team.writeComponent('3.0.0'));
  await theirs.quick('pack', team.writeComponent('3.0.0'));
  for (const signer of [mine, theirs]) {
    await signer.quick('sign', 'app@3.0.0', '--key', 'code', ...team.secret);
    await signer.quick('release', 'add', 'app@3.0.0');
  }
  await publish(theirs);
  await conflicts(/components\/app\/3\.0\.0\/.* was changed by somebody else too/);
  await mine.quick('change', 'discard');
  await mine.quick('change', 'rebase', team.url);
  await theirs.quick('authority', 'devices', '--file', team.writeDraft('devices', {}));
  await mine.quick('authority', 'devices', '--file', team.writeDraft('devices', { models: { Other: { phi: true } } }));
  await publish(theirs);
  await conflicts(/another version of the devices authority was published meanwhile/);
});

test('the shipped package comes back by itself where it is known, else it is said where to get it', async (t) => {
  const { team, mine, rebase } = await scene(t);
  const folder = team.path('alice', 'package');
  const shipped = filesIn(mine.workspace)['package/root.json'];
  rmSync(folder, { recursive: true });
  await rebase();
  assert.equal(filesIn(mine.workspace)['package/root.json'], shipped);
  rmSync(folder, { recursive: true });
  rmSync(new Workspace(mine.workspace).stateFile('trusted', 'metadata', '1.root.json'));
  assert.match((await mine.quickRefused('WORKSPACE_DAMAGED', 'change', 'rebase', team.url)).hint, /copy the folder/);
});

test('the first change of another repository is not taken for a part of this one', async (t) => {
  const { team, mine, conflicts } = await scene(t);
  const other = await newTeam();
  t.after(() => other.remove());
  await other.init();
  cpSync(team.path('alice', 'package'), team.path('package'), { recursive: true });
  rmSync(mine.workspace, { recursive: true });
  cpSync(other.alice.workspace, mine.workspace, { recursive: true });
  cpSync(team.path('package'), team.path('alice', 'package'), { recursive: true });
  await conflicts(/another repository/);
});
