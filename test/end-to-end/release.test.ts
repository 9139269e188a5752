/** Several people make, sign and publish one change with the real programs, each from a folder of their own. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { newTeam, publishedTeam, type ReleaseTeam } from '../support/release-team.ts';
import { filesIn } from '../support/signer-program.ts';

let made: ReleaseTeam;
before(async () => {
  made = await publishedTeam();
  await made.pack('1.1.0', 64, ['file-transfer']);
});
after(() => made.remove());

interface Demand {
  by: string;
  threshold: number;
  signed: string[];
  missing: string[];
}
interface Status {
  published: { role: string; version: number }[];
  change: { empty: boolean; complete: boolean; roles: { role: string; demands: Demand[] }[] };
}
interface Verified {
  root: number;
  roles: Record<string, { version: number }>;
  offers: { component: string; version: string; verdict: string }[];
}

test('two people apart sign the first change, chains included, and it is published only then', async (t) => {
  const team = await newTeam();
  t.after(() => team.remove());
  const { alice, bob } = team;
  await team.init();
  await alice.ok(...team.signAs('alice'));
  await alice.ok('change', 'export', team.path('to-bob.json'));
  const taken = await bob.ok('change', 'import', team.path('to-bob.json'));
  // Two chain versions, and every role but the one that will carry them.
  assert.equal(taken.signatures, 2 + 5);
  assert.equal(existsSync(team.path('bob', 'package')), false);
  await bob.ok(...team.signAs('bob'));
  await bob.ok('change', 'export', team.path('to-alice.json'));
  await alice.ok('change', 'import', team.path('to-alice.json'));
  const { effects } = await alice.quick<{ effects: string[] }>('change', 'show');
  assert.match(effects.join('\n'), /code-signing authority version 1/);
  const open = (await alice.quick<Status>('status')).change.roles.filter(({ demands }) =>
    demands.some(({ signed, threshold }) => signed.length < threshold),
  );
  assert.deepEqual(
    open.map(({ role }) => role),
    ['authority'],
  );
  await team.serve(t);
  assert.match((await alice.refused('CHANGE_UNSIGNED', ...team.publish)).message, /authority/);
  await alice.ok(...team.signAs('alice'));
  await alice.ok(...team.publish);
  const { published, change } = await alice.ok<Status>('status');
  assert.equal(published.length, 6);
  assert.equal(change.empty, true);
  // What Bob still has pending is what was published.
  await bob.ok('change', 'rebase', team.url);
  assert.deepEqual((await bob.quick<Status>('status')).published, published);
  assert.equal((await bob.quick<Verified>('verify', team.url)).root, 1);
});

test('a release is reviewed and signed by somebody new, whose signature the first one publishes', async (t) => {
  const team = made.copy(t);
  const { alice, bob } = team;
  await team.offer('1.1.0');
  await alice.quick(...team.signAs('alice'));
  await team.serve(t);
  assert.match((await alice.refused('CHANGE_UNSIGNED', ...team.publish)).message, /channels, component-app/);
  const words = await alice.words('status');
  assert.match(words, /component-app +2 +1 of 2 +alice +bob\n/);
  const { sha256 } = await alice.ok<{ sha256: string }>('change', 'export', team.path('to-bob.json'));

  const taken = await bob.ok<{ signatures: number; sha256: string }>('change', 'import', team.path('to-bob.json'));
  assert.deepEqual([taken.signatures, taken.sha256], [2, sha256]);
  const shown = await bob.words('change', 'show');
  assert.match(shown, /stable: app 1\.1\.0 .* is offered to every model, .*100 % at once/);
  assert.match(shown, /NEW CAPABILITY file-transfer \(high\): title of file-transfer/);
  await bob.ok(...team.signAs('bob'));
  const missing = await bob.refused('ARTIFACT_MISSING', ...team.publish);
  assert.match(missing.hint, /publish where the release was packed/);
  await bob.ok('change', 'export', team.path('to-alice.json'));

  const back = await alice.ok<{ signatures: number }>('change', 'import', team.path('to-alice.json'));
  assert.equal(back.signatures, 2);
  assert.equal((await alice.quick<Status>('status')).change.complete, true);
  await alice.ok(...team.publish);
  const { offers } = await alice.ok<Verified>('verify', team.url);
  assert.deepEqual(
    offers.map(({ version, verdict }) => [version, verdict]),
    [
      ['1.0.0', 'good'],
      ['1.1.0', 'good'],
    ],
  );
  await bob.ok('change', 'rebase', team.url);
  assert.equal((await bob.quick<Status>('status')).change.empty, true);
  assert.equal((await bob.quick<Verified>('verify', team.url)).offers.length, 2);
});

test('an export with a flipped byte is refused wherever the byte is, and nothing changes', async (t) => {
  const team = made.copy(t);
  const { alice } = team;
  await team.offer('1.1.0');
  await alice.quick(...team.signAs('alice'));
  const file = team.path('to-bob.json');
  await alice.quick('change', 'export', file);
  const good = readFileSync(file);
  const places = ['"_type"', '"documents"', '"roles"', '"trusted"', '"sha256"'];
  const state = filesIn(alice.workspace);
  for (const place of places) {
    const bad = Buffer.from(good);
    const at = bad.indexOf(place) + place.length + 60;
    bad[Math.min(at, bad.length - 3)]! ^= 1;
    writeFileSync(file, bad);
    await alice.refused('CHANGE_FILE', 'change', 'import', file);
    assert.deepEqual(filesIn(alice.workspace), state, place);
  }
  await alice.refused('CHANGE_FILE', 'change', 'import', team.path('nothing.json'));
});
