import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { keyIdOf, signedBytes } from '@countersign/protocol';
import { RepositorySimulator, type DelegationEntry } from '../support/repository-simulator.ts';
import { makeKey } from '../support/tuf-keys.ts';
import { coreClient, tufJsClient, type Outcome } from './clients.ts';
import { hardenings, type HardeningName } from './hardenings.ts';
import { now } from './scenario.ts';

const scratch = mkdtempSync(join(tmpdir(), 'countersign-hardenings-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

/** A repository whose keys a test can shape; both clients start from its first root. */
function scene(options: ConstructorParameters<typeof RepositorySimulator>[0] = {}) {
  const repo = new RepositorySimulator({ now, profile: 'general', ...options });
  const shippedRoot = repo.rootBytes(1);
  const [core, tufJs] = [coreClient(shippedRoot, 'restarts'), tufJsClient(shippedRoot, scratch)];
  const both = async (...paths: string[]): Promise<[core: Outcome, tufJs: Outcome]> => {
    const files = new Map(repo.files);
    return [await core.run(files, now, paths), await tufJs.run(files, now, paths)];
  };
  return { repo, both };
}

/** The core refuses the refresh with this code, tuf-js accepts it. */
async function onlyCoreRefuses(code: string, { both }: Pick<ReturnType<typeof scene>, 'both'>): Promise<void> {
  const [core, tufJs] = await both();
  assert.match(core.refused ?? 'accepted', new RegExp(`^${code}`));
  assert.equal(tufJs.refused, null);
}

/** Signs a document as it is and serves it under its role's current name. */
function serve(repo: RepositorySimulator, role: string, edit: (text: string) => string | Buffer): void {
  const name = role === 'timestamp' ? 'timestamp.json' : `${repo.targets(role).version}.${role}.json`;
  repo.files.set(name, Buffer.from(edit(repo.files.get(name)!.toString('utf8'))));
}

const tests: Record<HardeningName, () => Promise<void>> = {
  'one key, one vote': async () => {
    const s = scene();
    const key = makeKey();
    s.repo.root.keys.alias = { ...key.public };
    s.repo.root.keys[key.keyid] = key.public;
    s.repo.root.roles.timestamp = { keyids: [key.keyid, 'alias'], threshold: 2 };
    s.repo.signers.set('timestamp', [key, { ...key, keyid: 'alias' }]);
    s.repo.publish();
    await onlyCoreRefuses('TUF_SIGNATURE', s);
  },
  'strict expiry': async () => {
    for (const expires of ['2027-01-01', '2027-01-01T00:00:00+00:00', 'June 1, 2027', '2027-02-30T00:00:00Z']) {
      const s = scene();
      s.repo.timestamp.expires = expires;
      s.repo.publish();
      await onlyCoreRefuses('TUF_FORMAT', s);
    }
  },
  'versions from 1': async () => {
    const s = scene();
    s.repo.timestamp.version = -1;
    s.repo.publish();
    await onlyCoreRefuses('TUF_FORMAT', s);
  },
  'no empty hashes': async () => {
    const s = scene({ meta: 'version' });
    s.repo.timestamp.meta['snapshot.json']!.hashes = {};
    s.repo.publish('timestamp');
    await onlyCoreRefuses('TUF_FORMAT', s);
    const t = scene();
    t.repo.targets().targets.a = { length: 1, hashes: {} };
    t.repo.publish('targets');
    await onlyCoreRefuses('TUF_FORMAT', t);
  },
  'known hashes': async () => {
    const s = scene();
    const { createHash } = await import('node:crypto');
    s.repo.timestamp.meta['snapshot.json']!.hashes = {
      md5: createHash('md5').update(s.repo.bytes('snapshot')).digest('hex'),
    };
    s.repo.publish('timestamp');
    await onlyCoreRefuses('TUF_HASH', s);
  },
  'strict bytes': async () => {
    const s = scene();
    s.repo.timestamp.note = '\ufffd';
    s.repo.publish('timestamp');
    const at = s.repo.bytes('timestamp').indexOf(Buffer.from('\ufffd'));
    const bytes = s.repo.bytes('timestamp');
    s.repo.files.set(
      'timestamp.json',
      Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3)]),
    );
    await onlyCoreRefuses('TUF_FORMAT', s);
    const t = scene();
    serve(t.repo, 'timestamp', (text) => text.replace(/"sig":"([0-9a-f]+)"/, '"sig":"$1zz"'));
    await onlyCoreRefuses('TUF_SIGNATURE', t);
  },
  'strict numbers': async () => {
    const s = scene();
    const signed = { ...s.repo.timestamp, note: 0 };
    const large = signedBytes(signed).toString().replace('"note":0', '"note":9007199254740992');
    const key = s.repo.signers.get('timestamp')![0]!;
    const signature = { keyid: key.keyid, sig: key.sign(Buffer.from(large)) };
    s.repo.files.set('timestamp.json', Buffer.from(`{"signatures":[${JSON.stringify(signature)}],"signed":${large}}`));
    await onlyCoreRefuses('TUF_FORMAT', s);
  },
  'delegations say what they delegate': async () => {
    const s = scene();
    s.repo.delegate('targets', 'role', ['*']);
    delete s.repo.targets().delegations!.roles![0]!.paths;
    s.repo.publish();
    await onlyCoreRefuses('TUF_FORMAT', s);
    const t = scene();
    t.repo.targets().delegations = { keys: {} };
    t.repo.publish();
    await onlyCoreRefuses('TUF_FORMAT', t);
  },
  'roles have names': async () => {
    const s = scene();
    s.repo.delegate('targets', 'role', ['*']);
    s.repo.targets().delegations!.roles![0]!.name = '';
    s.repo.publish('targets');
    await onlyCoreRefuses('TUF_FORMAT', s);
  },
  'schemes fit their keys': async () => {
    const s = scene();
    const [id] = s.repo.root.roles.timestamp!.keyids;
    s.repo.root.keys[id!] = { ...s.repo.root.keys[id!], scheme: 'rsassa-pss-sha256' };
    s.repo.publish('root');
    await onlyCoreRefuses('TUF_SIGNATURE', s);
  },
  'RSA from 2048 bits': async () => {
    const s = scene();
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const short = { keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: pem } };
    const pss = { key: privateKey, padding: 6, saltLength: 32 };
    s.repo.rotateKeys('timestamp', {
      keyid: keyIdOf(short),
      public: short,
      privateKey,
      sign: (bytes) => sign('sha256', bytes, pss).toString('hex'),
    });
    s.repo.publish('root', 'timestamp');
    await onlyCoreRefuses('TUF_SIGNATURE', s);
  },
  'searches end aloud': async () => {
    const { repo, both } = scene();
    let delegator = 'targets';
    for (let i = 0; i < 34; i++) {
      repo.delegate(delegator, `role-${i}`, ['*']);
      delegator = `role-${i}`;
    }
    repo.addTarget(delegator, 'deep', 'x');
    repo.publish();
    const [core, tufJs] = await both('deep');
    const finding = core.findings.deep!;
    assert.match(finding.kind === 'refused' ? finding.why : '', /^TUF_LIMIT/);
    assert.deepEqual(tufJs.findings.deep, { kind: 'absent' });
  },
  'floors outlive files': async () => {
    const { repo, both } = scene();
    repo.publish('timestamp');
    await both();
    // Root asks for two signatures from now on, so the stored timestamp, with one, proves nothing to tuf-js any more.
    repo.addKey('timestamp', makeKey());
    repo.root.roles.timestamp!.threshold = 2;
    repo.timestamp.version = 0;
    repo.publish('root', 'timestamp');
    const [core, tufJs] = await both();
    assert.match(core.refused ?? '', /^TUF_ROLLBACK/);
    assert.equal(tufJs.refused, null);
  },
  'own properties only': async () => {
    const { both } = scene();
    const [core, tufJs] = await both('constructor');
    assert.deepEqual(core.findings['constructor'], { kind: 'absent' });
    assert.notDeepEqual(tufJs.findings['constructor'], { kind: 'absent' });
  },
  'recovery by §5.3.11': async () => {
    const { repo, both } = scene();
    repo.timestamp.version = 90;
    repo.publish();
    await both();
    repo.rotateKeys('snapshot');
    repo.timestamp.version = 0;
    repo.publish();
    const [core, tufJs] = await both();
    assert.equal(core.refused, null);
    assert.match(tufJs.refused ?? '', /less than current version/);
  },
  'literal patterns': async () => {
    const { repo, both } = scene();
    repo.delegate('targets', 'role', ['{a,b}', '[cd]', '+(e)']);
    for (const path of ['a', 'c', 'e', '[cd]']) repo.addTarget('role', path, path);
    repo.publish();
    const [core, tufJs] = await both('a', 'c', 'e', '[cd]');
    const kinds = ({ findings }: Outcome) => Object.values(findings).map(({ kind }) => kind);
    assert.deepEqual(kinds(core), ['absent', 'absent', 'absent', 'found']);
    assert.deepEqual(kinds(tufJs), ['found', 'found', 'found', 'absent']);
  },
  'dots are characters': async () => {
    const { repo, both } = scene();
    repo.delegate('targets', 'role', ['*']);
    repo.addTarget('role', '.hidden', 'x');
    repo.publish();
    const [core, tufJs] = await both('.hidden');
    assert.deepEqual([core.findings['.hidden']!.kind, tufJs.findings['.hidden']!.kind], ['found', 'absent']);
  },
  'a version is one file': async () => {
    const { repo, both } = scene();
    await both();
    repo.addTarget('targets', 'new', 'x');
    repo.snapshot.version--;
    repo.publish('targets');
    const [core, tufJs] = await both('new');
    assert.deepEqual([core.findings.new!.kind, tufJs.findings.new!.kind], ['found', 'absent']);
  },
  'meta of others is kept': async () => {
    const { repo, both } = scene();
    repo.timestamp.meta['other.json'] = { version: 1 };
    repo.publish('timestamp');
    const [core, tufJs] = await both();
    assert.equal(core.refused, null);
    assert.match(tufJs.refused ?? '', /signed by 0\/1/);
  },
  'odd names are kept': async () => {
    const { repo, both } = scene();
    for (const [name, path] of [
      ['plain', 'a'],
      ['with space', 'b'],
    ] as const) {
      repo.delegate('targets', name, [path]);
      repo.addTarget(name, path, path);
    }
    repo.publish();
    const kinds = ({ findings }: Outcome) => Object.values(findings).map(({ kind }) => kind);
    for (const outcome of await both('a', 'b')) assert.deepEqual(kinds(outcome), ['found', 'found']);
    for (const name of repo.files.keys()) if (/plain|space/.test(name)) repo.files.delete(name);
    const [core, tufJs] = await both('a', 'b');
    assert.deepEqual(kinds(core), ['found', 'found']);
    assert.deepEqual(kinds(tufJs), ['found', 'refused']);
  },
};

for (const [name, run] of Object.entries(tests))
  test(`tuf-js differs: ${name} (${hardenings[name as HardeningName].why})`, run);

test('a delegation that says how it delegates is a common ground', async () => {
  const { repo, both } = scene();
  repo.delegate('targets', 'role', ['*']);
  repo.addTarget('role', 'a', 'x');
  repo.publish();
  const [core, tufJs] = await both('a');
  assert.deepEqual(core.findings, tufJs.findings);
  assert.equal((repo.targets().delegations!.roles![0] as DelegationEntry).name, 'role');
});
