/** Exports that somebody altered on their way, including the digest; and authority versions that people complete separately. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test, type TestContext } from 'node:test';
import { serialize, sha256, type Targets } from '@countersign/protocol';
import { newTeam, publishedTeam, type ReleaseTeam } from '../../../../test/support/release-team.ts';
import { filesIn, SignerProgram } from '../../../../test/support/signer-program.ts';
import type { RoleFile } from '../workspace/workspace.ts';
import { changeFileFormat, readChangeFile, readRoleText, sealChange, type ChangeFile } from './change-file.ts';

let made: ReleaseTeam;
before(async () => {
  made = await publishedTeam();
  await made.pack('1.1.0');
  await made.offer('1.1.0');
  await made.alice.quick('authority', 'devices', '--file', made.writeDraft('devices', { denied: [] }));
  await made.alice.quick(...made.signAs('alice'));
  await made.alice.quick('change', 'export', made.path('change.json'));
});
after(() => made.remove());

type Bend = (change: ChangeFile) => Partial<ChangeFile> | void;
const base64 = (text: Uint8Array | string): string => Buffer.from(text).toString('base64');
const flipped = (hex: string): string => (hex.startsWith('0') ? '1' : '0') + hex.slice(1);

/** The file with a change and a corrected digest. */
function bend(file: string, change: Bend): void {
  const { sha256: _, ...good } = readChangeFile(file);
  const parts = structuredClone({ ...good, sha256: '' });
  const { sha256: __, ...bent } = { ...parts, ...change(parts) };
  writeFileSync(file, changeFileFormat.serialize(sealChange(bent)));
}

/** Alters one role's metadata in the file. */
function role(name: string, part: 'roles' | 'trusted', change: (file: RoleFile<Targets>) => RoleFile): Bend {
  return (file) => {
    const { signed, signatures } = change(structuredClone(readRoleText(name, file[part][name]!)) as RoleFile<Targets>);
    file[part][name] = base64(serialize(signed, signatures));
  };
}
const unsigned = (name: string, change: (signed: Targets) => object): Bend =>
  role(name, 'roles', ({ signed }) => ({ signed: { ...signed, ...change(signed) }, signatures: [] }));

const others: { what: string; change: Bend; fresh: [string, RegExp]; owner: [string, RegExp] }[] = [
  {
    what: 'a signature',
    change: role('channels', 'roles', ({ signed, signatures: [one] }) => ({
      signed,
      signatures: [{ ...one!, sig: flipped(one!.sig) }],
    })),
    fresh: ['CHANGE_FILE', /signature of key [0-9a-f]{16} over channels does not hold/],
    owner: ['CHANGE_FILE', /signature of key [0-9a-f]{16} over channels does not hold/],
  },
  {
    what: 'the key of a signature',
    change: role('channels', 'roles', ({ signed, signatures: [one] }) => ({
      signed,
      signatures: [{ ...one!, keyid: sha256('nobody') }],
    })),
    fresh: ['CHANGE_FILE', /does not hold/],
    owner: ['CHANGE_FILE', /does not hold/],
  },
  {
    what: 'what was signed',
    change: role('channels', 'roles', ({ signed, signatures }) => ({
      signed: { ...signed, expires: '2039-01-01T00:00:00Z' },
      signatures,
    })),
    fresh: ['CHANGE_FILE', /does not hold/],
    owner: ['CHANGE_CONFLICT', /channels version 2 of the file has other content/],
  },
  {
    what: 'a document',
    change: ({ documents }) => ({
      documents: documents.map(({ path, bytes }) => ({ path, bytes: path.startsWith('channels/') ? 'AAAA' : bytes })),
    }),
    fresh: ['CHANGE_FILE', /carries channels\/stable\.json, which its roles do not list/],
    owner: ['CHANGE_FILE', /carries channels\/stable\.json, which its roles do not list/],
  },
  {
    what: 'the metadata that is published',
    change: role('targets', 'trusted', ({ signed, signatures }) => ({ signed, signatures: signatures.slice(1) })),
    fresh: ['CHANGE_FILE', /published state .*targets is not signed by its keys/],
    owner: ['CHANGE_CONFLICT', /another published targets/],
  },
  {
    what: 'an authority version',
    change: ({ lines }) => {
      const body = JSON.parse(Buffer.from(lines.devices!.payload, 'base64').toString()) as object;
      lines.devices!.payload = base64(JSON.stringify({ ...body, issued: '2026-01-01T00:00:00Z' }));
    },
    fresh: ['CHANGE_FILE', /signature of key .* over the devices authority does not hold/],
    owner: ['CHANGE_CONFLICT', /devices authority in the file has other content/],
  },
  {
    what: 'the signature of an authority version',
    change: ({ lines }) => {
      lines.devices!.signatures[0]!.sig = base64(Buffer.alloc(64, 1));
    },
    fresh: ['CHANGE_FILE', /signature of key .* over the devices authority does not hold/],
    owner: ['CHANGE_FILE', /signature of key .* over the devices authority does not hold/],
  },
];

for (const { what, change, fresh, owner } of others)
  test(`refuses an export with ${what} changed, and changes nothing`, async (t) => {
    const { alice, bob, path } = made.copy(t);
    bend(path('change.json'), change);
    for (const [signer, [code, words]] of [
      [alice, owner],
      [bob, fresh],
    ] as const) {
      const state = filesIn(signer.workspace);
      assert.match((await signer.quickRefused(code, 'change', 'import', path('change.json'))).message, words);
      assert.deepEqual(filesIn(signer.workspace), state);
    }
  });

const fromStrangers: Record<string, { change: Bend; words: RegExp }> = {
  'a document taken away': {
    change: ({ documents }) => ({ documents: documents.filter(({ path }) => !path.startsWith('channels/')) }),
    words: /channels\/stable\.json is listed in the file, and is not in it/,
  },
  'a published document changed': {
    change: ({ trustedDocuments: [one, ...rest] }) => ({ trustedDocuments: [{ ...one!, bytes: 'AAAA' }, ...rest] }),
    words: /published state in the file does not hold: authority\/codesign\.jsonl/,
  },
  'a root 1 that its keys did not sign': {
    change: ({ firstRoot }) => {
      const { signed, signatures } = readRoleText('root', firstRoot!);
      return { firstRoot: base64(serialize(signed, signatures.slice(1))) };
    },
    words: /root 1 is not signed by its own keys/,
  },
  'an authority version left out': {
    change: ({ lines }) => {
      const body = JSON.parse(Buffer.from(lines.devices!.payload, 'base64').toString()) as object;
      return { lines: { devices: { payload: base64(JSON.stringify({ ...body, version: 3 })), signatures: [] } } };
    },
    words: /devices authority has version 3, expected 2/,
  },
  'a version left out': { change: unsigned('channels', () => ({ version: 3 })), words: /version 3, expected 2/ },
  'targets outside of the role': {
    change: unsigned('channels', ({ targets }) => ({
      targets: { ...targets, 'revocations/x.json': targets['channels/stable.json'] },
    })),
    words: /no device would take channels/,
  },
  'a role that nobody delegates to': {
    change: ({ roles }) => ({ roles: { ...roles, brake: roles.channels! } }),
    words: /brake has version 2, expected 1/,
  },
  'no metadata at all': {
    change: () => ({ roles: {}, trusted: {}, documents: [], trustedDocuments: [], lines: {} }),
    words: /the file has no root/,
  },
};
for (const [what, { change, words }] of Object.entries(fromStrangers))
  test(`refuses an export with ${what}`, async (t) => {
    const { bob, path } = made.copy(t);
    bend(path('change.json'), change);
    assert.match((await bob.quickRefused('CHANGE_FILE', 'change', 'import', path('change.json'))).message, words);
  });

test('refuses every byte changed, and a file that only looks like an export', async (t) => {
  const { path } = made.copy(t);
  const file = path('change.json');
  const good = readFileSync(file);
  for (let at = 0; at < good.length; at += 97) {
    const bad = Buffer.from(good);
    bad[at]! ^= 1;
    writeFileSync(file, bad);
    assert.throws(() => readChangeFile(file), { code: 'CHANGE_FILE' }, `byte ${at}`);
  }
  for (const other of ['', '{}', '[]', good.toString().replace('change/v1', 'change/v2')]) {
    writeFileSync(file, other);
    assert.throws(() => readChangeFile(file), { code: 'CHANGE_FILE' });
  }
  writeFileSync(file, good);
  assert.equal(readChangeFile(file).roles.channels !== undefined, true);
});

test('an export of another repository, or of another published state, does not fit', async (t) => {
  const team = made.copy(t);
  const other = await newTeam();
  t.after(() => other.remove());
  await other.init();
  const { alice, bob } = other;
  await alice.quick('change', 'export', other.path('first.json'));
  await bob.quick('change', 'import', other.path('first.json'));
  await team.alice.quickRefused('CHANGE_CONFLICT', 'change', 'import', other.path('first.json'));
  const mine = await bob.quickRefused('CHANGE_CONFLICT', 'change', 'import', team.path('change.json'));
  assert.match(mine.message, /another repository/);
  await team.serveHere(t);
  await team.alice.quick('change', 'discard');
  await team.alice.quick('renew', 'revocations');
  await team.alice.quick(...team.bothSign);
  await team.alice.quick(...team.publish);
  const moved = await team.alice.quickRefused('CHANGE_CONFLICT', 'change', 'import', team.path('change.json'));
  assert.match(moved.message, /another published revocations/);
  assert.match(moved.hint, /rebase/);
});

test('who reviews an offer of what was published before reads its capabilities, and which of them are new', async (t) => {
  const { alice, bob, ...team } = await published(t, ['file-transfer'], ['file-transfer', 'screen-view']);
  const effects = async (signer: SignerProgram): Promise<string> =>
    (await signer.quick<{ effects: string[] }>('change', 'show')).effects.join('\n');
  const give = async (): Promise<void> => {
    await alice.quick('change', 'export', team.path('given.json'));
    await bob.quick('change', 'import', team.path('given.json'));
  };
  await alice.quick('channel', 'offer', 'app@2.0.0');
  await give();
  assert.match(await effects(bob), /NEW CAPABILITY file-transfer/);
  assert.equal(await effects(bob), await effects(alice));
  await alice.quick(...team.bothSign);
  await alice.quick(...team.publish);
  await bob.quick('change', 'rebase', team.url);
  await alice.quick('channel', 'offer', 'app@2.1.0');
  await give();
  assert.match(await effects(bob), /^ {2}capability file-transfer/m);
  assert.match(await effects(bob), /NEW CAPABILITY screen-view/);
  bend(team.path('given.json'), ({ trustedDocuments }) => ({
    trustedDocuments: trustedDocuments.map(({ path, bytes }) => ({
      path,
      bytes: path.startsWith('comp') ? 'AAAA' : bytes,
    })),
  }));
  const refused = await bob.quickRefused('CHANGE_FILE', 'change', 'import', team.path('given.json'));
  assert.match(refused.message, /carries components\/app\/1\.0\.0/);
});

/** A team that has published 2.0.0 and 2.1.0 with these capabilities and offers neither. */
async function published(t: TestContext, ...capabilities: string[][]) {
  const team = made.copy(t);
  await team.serveHere(t);
  await team.alice.quick('change', 'discard');
  for (const [minor, ids] of capabilities.entries()) {
    await team.pack(`2.${minor}.0`, 64, ids);
    await team.alice.quick('release', 'add', `app@2.${minor}.0`);
  }
  await team.alice.quick(...team.bothSign);
  await team.alice.quick(...team.publish);
  const { alice, bob, path, bothSign, publish, url } = team;
  return { alice, bob, path, bothSign, publish, url };
}

test('whoever signed the first change takes over the second without ado', async (t) => {
  const team = await newTeam();
  t.after(() => team.remove());
  const { alice, bob, path } = team;
  await team.init();
  await alice.quick(...team.signAs('alice'));
  await alice.quick('change', 'export', path('first.json'));
  await bob.quick('change', 'import', path('first.json'));
  await alice.quick(...team.bothSign);
  await team.serveHere(t);
  await alice.quick(...team.publish);
  await alice.quick('renew', 'channels');
  await alice.quick('change', 'export', path('second.json'));
  await bob.quick('change', 'import', path('second.json'));
  const { roles } = await bob.quick<{ roles: { role: string }[] }>('change', 'show');
  assert.deepEqual(
    roles.map(({ role }) => role),
    ['channels'],
  );
  for (const name of ['root.json', 'codesign.jsonl', 'devices.jsonl'])
    assert.deepEqual(readFileSync(path('bob', 'package', name)), readFileSync(path('alice', 'package', name)), name);
  cpSync(path('bob'), path('carol'), { recursive: true });
  await new SignerProgram(path('carol')).quick('verify', team.url);
});
