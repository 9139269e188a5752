/** tuf-js's own client alone reads what `countersign` writes and the server serves, through every kind of change. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { Updater } from 'tuf-js';
import { publishedTeam, type ReleaseTeam } from '../support/release-team.ts';

let made: ReleaseTeam;
before(async () => {
  made = await publishedTeam();
  await made.pack('1.1.0');
  await made.alice.quick('key', 'generate', 'carol', 'dave', '--type', 'ed25519', ...made.secret, ...fastScrypt);
});
after(() => made.remove());
const fastScrypt = ['--insecure-fast-scrypt-for-demo'];

interface Verified {
  root: number;
  snapshot: number;
  roles: Record<string, { version: number }>;
  offers: { version: string; verdict: string }[];
}

/** A client of tuf-js that starts with root 1 and keeps what it has seen. */
function clientOf(team: ReleaseTeam, name = 'tuf-js') {
  const metadataDir = team.path(name, 'metadata');
  const targetDir = team.path(name, 'targets');
  mkdirSync(metadataDir, { recursive: true });
  mkdirSync(targetDir, { recursive: true });
  cpSync(join(team.alice.workspace, 'package', 'root.json'), join(metadataDir, 'root.json'));
  const versionOf = (role: string): number =>
    (JSON.parse(readFileSync(join(metadataDir, `${role}.json`), 'utf8')) as { signed: { version: number } }).signed
      .version;
  return {
    versionOf,
    /** Refreshes like a new process, then finds and downloads the target. */
    async fetch(path: string): Promise<Buffer> {
      const updater = new Updater({
        metadataDir,
        targetDir: mkdtempSync(join(targetDir, 'download-')),
        metadataBaseUrl: new URL('metadata/', team.url).href,
        targetBaseUrl: new URL('targets/', team.url).href,
      });
      await updater.refresh();
      const found = await updater.getTargetInfo(path);
      assert.ok(found, `tuf-js finds ${path}`);
      return readFileSync(await updater.downloadTarget(found));
    },
  };
}

const signArguments = (team: ReleaseTeam, ...keys: string[]): string[] => {
  const files = keys.map((key) => (key.startsWith('bob') ? team.path('bob', 'keys', key) : key));
  return ['change', 'sign', '--key', ...files, ...team.secret];
};

async function scene(t: TestContext) {
  const team = made.copy(t);
  await team.serve(t);
  const { alice } = team;
  const sign = (...keys: string[]): Promise<unknown> => alice.quick(...signArguments(team, 'bob', ...keys));
  const publish = (): Promise<unknown> => alice.ok(...team.publish);
  const verified = (): Promise<Verified> => alice.ok<Verified>('verify', team.url);
  return { team, alice, sign, publish, verified, client: clientOf(team) };
}
const archive = 'components/app/1.0.0/any.base.tar.zst';
const channel = async ({ fetch }: ReturnType<typeof clientOf>): Promise<{ offers: { version: string }[] }> =>
  JSON.parse((await fetch('channels/stable.json')).toString()) as never;

test('a release that was added is found and downloaded, and so is the next one', async (t) => {
  const { team, alice, sign, publish, verified, client } = await scene(t);
  const packed = (version: string): Buffer =>
    readFileSync(join(alice.workspace, 'artifacts', 'app', version, 'any.base.tar.zst'));
  assert.deepEqual(await client.fetch(archive), packed('1.0.0'));
  await team.offer('1.1.0');
  await sign('alice');
  await publish();
  assert.deepEqual(await client.fetch(archive.replace('1.0.0', '1.1.0')), packed('1.1.0'));
  assert.deepEqual(
    (await channel(client)).offers.map(({ version }) => version),
    ['1.0.0', '1.1.0'],
  );
  const { snapshot, roles } = await verified();
  assert.deepEqual([snapshot, roles.channels!.version, roles.targets!.version], [2, 2, 1]);
  assert.equal(client.versionOf('snapshot'), 2);
  // A client that accepts everything would prove nothing.
  const folder = team.path('repository', 'targets', 'components', 'app', '1.0.0');
  const stored = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.any.base.tar.zst'))!,
  );
  const bytes = readFileSync(stored);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(stored, bytes);
  await assert.rejects(client.fetch(archive), /Expected hash/);
});

test('new keys of root, of targets and of a component are followed, each signed by whom it takes', async (t) => {
  const { team, alice, sign, publish, verified, client } = await scene(t);
  await client.fetch(archive);
  await alice.quick('role', 'keys', 'root', 'targets', '--role-key', 'alice', 'carol');
  await alice.quick('role', 'keys', 'component-app', '--role-key', 'carol', 'dave');
  await sign('alice', 'dave');
  // Root 2 has the signatures that root 1 asks for, but lacks its own.
  const unsigned = await alice.refused('CHANGE_UNSIGNED', ...team.publish);
  assert.match(unsigned.message, /: root, targets, component-app$/);
  await sign('carol');
  // The keys of a component belong to persons, or devices refuse what they sign.
  assert.match((await alice.refused('PUBLISH_REFUSED', ...team.publish)).message, /CODESIGN_ONE_PERSON/);
  const persons = {
    alice: { name: 'Alice', keys: ['alice'], identities: [] },
    carol: { name: 'Carol', keys: ['carol'], identities: ['vendor'] },
    dave: { name: 'Dave', keys: ['dave'], identities: [] },
  };
  await alice.quick('authority', 'codesign', '--file', team.writeDraft('codesign', { persons }));
  await sign('alice', 'alice-chain', 'bob-chain');
  await publish();
  const { root, roles, offers } = await verified();
  assert.deepEqual(
    [root, roles.targets!.version, roles['component-app']!.version, roles.authority!.version],
    [2, 2, 2, 2],
  );
  assert.deepEqual(
    offers.map(({ verdict }) => verdict),
    ['good'],
  );
  assert.equal((await client.fetch(archive)).length > 0, true);
  assert.deepEqual(
    [client.versionOf('root'), client.versionOf('targets'), client.versionOf('component-app')],
    [2, 2, 2],
  );
  const chain = (await client.fetch('authority/codesign.jsonl')).toString();
  assert.equal(chain.trimEnd().split('\n').length, 2);
  // A client with root 1 only still gets there; a person whom root 2 left out cannot sign any more.
  assert.deepEqual(await clientOf(team, 'late').fetch(archive), await client.fetch(archive));
  await alice.quick('renew', 'targets');
  await alice.quickRefused('CHANGE_NOT_YOURS', ...signArguments(team, 'bob'));
});

test('a renewal changes versions and nothing else; a revocation is served and shown', async (t) => {
  const { team, alice, sign, publish, verified, client } = await scene(t);
  const before = await channel(client);
  await alice.quick('renew', 'targets', 'channels', 'component-app', 'authority');
  await sign('alice');
  await publish();
  const { roles } = await verified();
  assert.deepEqual(
    ['targets', 'channels', 'component-app', 'authority', 'revocations'].map((role) => roles[role]!.version),
    [2, 2, 2, 2, 1],
  );
  assert.deepEqual(await channel(client), before);
  assert.equal(client.versionOf('channels'), 2);

  await alice.quick('revoke', 'release', 'app@1.0.0', '--reason', 'sends too much');
  const { effects } = await alice.quick<{ effects: string[] }>('change', 'show');
  assert.match(effects.join('\n'), /is REVOKED: sends too much/);
  await sign('alice');
  await publish();
  const answer = await alice.run('verify', team.url);
  assert.equal(answer.code, 1);
  const { offers } = answer.json as unknown as Verified;
  assert.deepEqual(
    offers.map(({ version, verdict }) => [version, verdict]),
    [['1.0.0', 'RELEASE_REVOKED']],
  );
  const served = JSON.parse((await client.fetch('revocations/revocations.json')).toString()) as {
    releases: { reason: string }[];
  };
  assert.deepEqual(
    served.releases.map(({ reason }) => reason),
    ['sends too much'],
  );
});
