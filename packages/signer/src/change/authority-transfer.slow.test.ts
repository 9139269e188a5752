/** Authority versions that people complete separately. */
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { publishedTeam, type ReleaseTeam } from '../../../../test/support/release-team.ts';
import { filesIn, type SignerProgram } from '../../../../test/support/signer-program.ts';

let made: ReleaseTeam;
before(async () => {
  made = await publishedTeam();
  await made.alice.quick('renew', 'channels', 'component-app');
  await made.alice.quick('authority', 'devices', '--file', made.writeDraft('devices', { denied: [] }));
  await made.alice.quick(...made.signAs('alice'));
  await made.alice.quick('change', 'export', made.path('change.json'));
});
after(() => made.remove());

interface Change {
  complete: boolean;
  lines: { authority: string }[];
  roles: { role: string; demands: { signed: string[] }[] }[];
}
const shown = (signer: SignerProgram): Promise<Change> => signer.quick<Change>('change', 'show');
const signers = async (signer: SignerProgram, name: string): Promise<number> =>
  (await shown(signer)).roles.find(({ role }) => role === name)!.demands[0]!.signed.length;

/** Alice, who has signed, Bob, who has imported that, and a way to pass exports between them. */
async function apart(t: TestContext) {
  const team = made.copy(t);
  const { alice, bob, path } = team;
  await bob.quick('change', 'import', path('change.json'));
  const give = async (from: SignerProgram, to: SignerProgram): Promise<void> => {
    await from.quick('change', 'export', path('given.json'));
    await to.quick('change', 'import', path('given.json'));
  };
  return { team, alice, bob, give };
}

test('who completes an authority version passes on the role that carries it', async (t) => {
  const { team, alice, bob, give } = await apart(t);
  assert.deepEqual((await shown(bob)).lines.length, 1);
  await bob.quick(...team.signAs('bob'));
  await give(bob, alice);
  assert.deepEqual((await shown(alice)).lines, []);
  assert.equal(await signers(alice, 'authority'), 1);
  await alice.quick(...team.signAs('alice'));
  await give(alice, bob);
  assert.equal((await shown(bob)).complete, true);
  // An export from before it was complete adds nothing and removes nothing.
  await alice.quick('change', 'import', team.path('change.json'));
  assert.equal((await shown(alice)).complete, true);
});

test('of two who complete the same version apart, the one who has it keeps it', async (t) => {
  const { team, alice, bob, give } = await apart(t);
  await bob.quick(...team.signAs('bob'));
  // On another day, so that the role differs.
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 24 * 3600_000 });
  await alice.quick('change', 'sign', '--key', team.path('bob', 'keys', 'bob-chain'), 'alice', ...team.secret);
  assert.equal(await signers(alice, 'authority'), 1);
  await give(bob, alice);
  assert.equal(await signers(alice, 'authority'), 1, 'only over the own');
  assert.equal(await signers(alice, 'channels'), 2);
  await alice.quick('change', 'sign', '--key', team.path('bob', 'keys', 'bob'), ...team.secret);
  assert.equal((await shown(alice)).complete, true);
});

test('the role that carries a version cannot be signed before the version is complete', async (t) => {
  const team = made.copy(t);
  await team.alice.quick('renew', 'authority');
  const refused = await team.alice.quickRefused('CHANGE_SIGNED', ...team.signAs('alice'));
  assert.match(refused.hint, /change show/);
  assert.equal(await signers(team.alice, 'authority'), 0);
  await team.alice.quickRefused('CHANGE_NOT_YOURS', 'change', 'sign', '--key', 'code', ...team.secret);
  await team.alice.quick('change', 'sign', '--key', team.path('bob', 'keys', 'bob-chain'), 'alice', ...team.secret);
  assert.equal(await signers(team.alice, 'authority'), 1);
});

test('two roles that each carry another version contradict each other', async (t) => {
  const team = made.copy(t);
  const { alice, bob, path } = team;
  // A version that needs one key more, so that the other authority can be complete without it.
  const signers = { keys: ['code'], threshold: 1 };
  await alice.quick('authority', 'devices', '--file', team.writeDraft('devices', { signers }));
  await alice.quick('change', 'export', path('change.json'));
  await bob.quick('change', 'import', path('change.json'));
  const chains = [path('alice', 'keys', 'alice-chain'), path('bob', 'keys', 'bob-chain')];
  const sign = ['change', 'sign', ...team.secret, '--key', ...chains];
  await bob.quick('authority', 'codesign', '--file', team.writeDraft('codesign', {}));
  await bob.quick(...sign);
  await bob.quick('change', 'export', path('codesign.json'));
  await alice.quick(...sign, 'code');
  await alice.quick('change', 'export', path('devices.json'));
  for (const [signer, file] of [
    [alice, 'codesign.json'],
    [bob, 'devices.json'],
  ] as const) {
    const state = filesIn(signer.workspace);
    const { message } = await signer.quickRefused('CHANGE_CONFLICT', 'change', 'import', path(file));
    assert.match(message, /role authority in the file has other content/);
    assert.deepEqual(filesIn(signer.workspace), state);
  }
});

test('two different proposals contradict each other', async (t) => {
  const { team, alice, bob } = await apart(t);
  await bob.quick('authority', 'devices', '--file', team.writeDraft('devices', { models: { Other: { phi: true } } }));
  await bob.quick('change', 'export', team.path('given.json'));
  const state = filesIn(alice.workspace);
  await alice.quickRefused('CHANGE_CONFLICT', 'change', 'import', team.path('given.json'));
  assert.deepEqual(filesIn(alice.workspace), state);
});
