/** Several people make, sign and publish one change with the real programs, each from their own folder. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newTeam, publishedTeam, type ReleaseTeam } from '../support/release-team.ts';
import { filesIn } from '../support/signer-program.ts';

let made: ReleaseTeam;
before(async () => {
  made = await publishedTeam();
  await made.pack('1.1.0', 64, ['file-transfer']);
});
after(() => made.remove());

/** Changes one bit in the middle of a file. */
function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(file, bytes);
}

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
  // Two chain versions, and every role except the one that will carry them.
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

  // One flipped byte in an archive or an SBOM on the server is found over http and in the folder, with the code of a device.
  const repository = team.path('repository');
  for (const pattern of ['targets/**/*.base.tar.zst', 'targets/**/*.sbom.cdx.json']) {
    const [file] = globSync(pattern, { cwd: repository }).map((name) => join(repository, name));
    flip(file!);
    for (const place of [team.url, repository]) {
      const { code, json } = await alice.run('verify', place);
      assert.equal(code, 1);
      const verdicts = (json as unknown as Verified).offers.map(({ verdict }) => verdict).sort();
      assert.deepEqual(verdicts, ['TUF_HASH', 'good'], place);
    }
    flip(file!);
  }
  assert.equal((await alice.run('verify', repository)).code, 0);
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

test('what is done in the wrong order is refused with a code of its own and a way out, and changes nothing', async (t) => {
  const team = made.copy(t);
  const { alice } = team;
  await team.serve(t);
  await alice.quick('pack', team.writeComponent('2.0.0'));
  await team.pack('2.1.0');
  await alice.refused('CHANGE_EMPTY', ...team.publish);
  await alice.quickRefused('CHANGE_EMPTY', ...team.signAs('alice'));
  await alice.refused('RELEASE_NOT_SIGNED', 'release', 'add', 'app@2.0.0');
  await alice.refused('RELEASE_NOT_ADDED', 'channel', 'offer', 'app@1.1.0');
  await alice.refused('ARTIFACT_MISSING', 'channel', 'offer', 'app@9.0.0');
  await alice.refused('OFFER_EXISTS', 'channel', 'offer', 'app@1.0.0');
  await alice.quickRefused('OFFER_MISSING', 'channel', 'withdraw', 'app@1.1.0');
  const archive = join(alice.workspace, 'artifacts', 'app', '2.1.0', 'any.base.tar.zst');
  flip(archive);
  // Everything that one command was asked for, or nothing.
  const damaged = await alice.refused('ARTIFACT_DAMAGED', 'release', 'add', 'app@1.1.0', 'app@2.1.0');
  assert.match(damaged.message, /2\.1\.0.*any\.base\.tar\.zst/);
  assert.equal((await alice.quick<Status>('status')).change.empty, true);

  await team.offer('1.1.0');
  const state = filesIn(alice.workspace);
  await alice.refused('CHANGE_UNSIGNED', ...team.publish);
  await alice.refused('KEY_MISSING', 'change', 'sign', '--key', 'nobody', ...team.secret);
  await alice.refused('CHANGE_NOT_YOURS', 'change', 'sign', '--key', 'code', ...team.secret);
  writeFileSync(team.path('wrong'), 'another passphrase\n');
  const wrong = ['--passphrase-file', team.path('wrong')];
  await alice.quickRefused('KEY_PASSPHRASE_WRONG', 'change', 'sign', '--key', 'alice', ...wrong);
  assert.deepEqual(filesIn(alice.workspace), state);
  await alice.ok(...team.signAs('alice'));
  await alice.refused('CHANGE_SIGNED', ...team.signAs('alice'));
});

test('a publication that cannot be made says why, and the change waits', async (t) => {
  const team = made.copy(t);
  const { alice } = team;
  await team.offer('1.1.0');
  await alice.quick(...team.bothSign);
  const state = filesIn(alice.workspace);
  await team.serve(t);
  const to = (url: string): string[] => ['publish', '--to', url, '--api-key-file', team.path('api-key')];
  await alice.refused('PUBLISH_UNREACHED', ...to('http://127.0.0.1:1/'));
  await alice.refused('SERVER_ADDRESS', ...to('release.example'));
  writeFileSync(team.path('wrong'), 'csk_wrong\n');
  const stranger = ['publish', '--to', team.url, '--api-key-file', team.path('wrong')];
  assert.match((await alice.refused('PUBLISH_REFUSED', ...stranger)).message, /^PUBLISHER_UNKNOWN/);
  const archive = join(alice.workspace, 'artifacts', 'app', '1.1.0', 'any.base.tar.zst');
  const good = readFileSync(archive);
  flip(archive);
  assert.match((await alice.refused('PUBLISH_REFUSED', ...team.publish)).message, /^PUBLICATION_BLOB/);
  writeFileSync(archive, good.subarray(1));
  await alice.refused('ARTIFACT_DAMAGED', ...team.publish);
  writeFileSync(archive, good);
  assert.deepEqual(filesIn(alice.workspace), state);
  await alice.ok(...team.publish);
});
