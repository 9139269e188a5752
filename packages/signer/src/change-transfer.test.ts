/** Exports that somebody bent on their way, digest and all; and authority versions that people complete apart. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test, type TestContext } from 'node:test';
import { serialize, sha256, type Targets } from '@countersign/protocol';
import { newTeam, publishedTeam, type ReleaseTeam } from '../../../test/support/release-team.ts';
import { filesIn, SignerProgram } from '../../../test/support/signer-program.ts';
import { changeFileFormat, readChangeFile, readRoleText, sealChange, type ChangeFile } from './change-file.ts';
import type { RoleFile } from './workspace.ts';

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

/** The file with something changed and its digest made right again. */
function bend(file: string, change: Bend): void {
  const { sha256: _, ...good } = readChangeFile(file);
  const parts = structuredClone({ ...good, sha256: '' });
  const { sha256: __, ...bent } = { ...parts, ...change(parts) };
  writeFileSync(file, changeFileFormat.serialize(sealChange(bent)));
}

/** One role's metadata out of the file, bent. */
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
      lines.devices!.payload = base64(JSON.stringify({ ...body, version: 3 }));
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

interface Change {
  complete: boolean;
  lines: { authority: string }[];
  roles: { role: string; demands: { signed: string[] }[] }[];
}
const shown = (signer: SignerProgram): Promise<Change> => signer.quick<Change>('change', 'show');
const signers = async (signer: SignerProgram, name: string): Promise<number> =>
  (await shown(signer)).roles.find(({ role }) => role === name)!.demands[0]!.signed.length;

/** Alice, who has signed, and Bob, who has taken that over; and how one gives to the other. */
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
  // An export from before it was complete adds nothing and takes nothing away.
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
  const roles = (await shown(team.alice)).roles.map(({ role }) => role);
  assert.deepEqual(roles, ['channels', 'component-app']);
  const refused = await team.alice.quickRefused('CHANGE_SIGNED', ...team.signAs('alice'));
  assert.match(refused.hint, /change show/);
  await team.alice.quickRefused('CHANGE_NOT_YOURS', 'change', 'sign', '--key', 'code', ...team.secret);
});

test('two different proposals contradict each other', async (t) => {
  const { team, alice, bob } = await apart(t);
  await bob.quick('authority', 'devices', '--file', team.writeDraft('devices', { models: { Other: { phi: true } } }));
  await bob.quick('change', 'export', team.path('given.json'));
  const state = filesIn(alice.workspace);
  await alice.quickRefused('CHANGE_CONFLICT', 'change', 'import', team.path('given.json'));
  assert.deepEqual(filesIn(alice.workspace), state);
});

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
  assert.deepEqual(
    (await shown(bob)).roles.map(({ role }) => role),
    ['channels'],
  );
  for (const name of ['root.json', 'codesign.jsonl', 'devices.jsonl'])
    assert.deepEqual(readFileSync(path('bob', 'package', name)), readFileSync(path('alice', 'package', name)), name);
  cpSync(path('bob'), path('carol'), { recursive: true });
  await new SignerProgram(path('carol')).quick('verify', team.url);
});
