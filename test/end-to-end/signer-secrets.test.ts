/**
 * No command prints or leaves a secret: each one runs with known secrets, also in cases where it fails, and everything that it
 * wrote is searched.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Command } from 'commander';
import { createAuthority, vendor } from '../../demo/authority.ts';
import { issuerText } from '../../demo/certificates.ts';
import { decryptKeyFile, readPublicKeyFile } from '../../packages/signer/src/keys/key-files.ts';
import { locateKey } from '../../packages/signer/src/keys/key-uris.ts';
import { newTeam, passphrase, type ReleaseTeam } from '../support/release-team.ts';
import { signerProgram } from '../../packages/signer/src/program.ts';

const pemPassphrase = 'nine herons polish brass';
let team: ReleaseTeam;
before(async () => {
  // With every stack and cause.
  process.env.COUNTERSIGN_DEBUG = '1';
  team = await newTeam();
});
after(() => {
  delete process.env.COUNTERSIGN_DEBUG;
  team.remove();
});

/** How a private key can be written: its secret number or seed, and the lines of its PEM that hold some of it. */
function formsOf(key: KeyObject): string[] {
  const secret = Buffer.from(key.export({ format: 'jwk' }).d!, 'base64url');
  const at = key.export({ type: 'pkcs8', format: 'der' }).indexOf(secret);
  assert.notEqual(at, -1);
  // A line is 48 bytes; the other lines hold public values.
  const lines = (key.export({ type: 'pkcs8', format: 'pem' }) as string)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('-'))
    .filter((_, line) => Math.min(at + secret.length, (line + 1) * 48) - Math.max(at, line * 48) >= 8);
  assert.ok(lines.length > 0);
  return [...lines, ...(['hex', 'base64', 'base64url', 'latin1'] as const).map((form) => secret.toString(form))];
}

/** Names of all commands that do something, such as `change sign`. */
function leaves(command: Command, before: readonly string[] = []): string[] {
  return command.commands.flatMap((sub) => {
    const names = [...before, sub.name()];
    return sub.commands.length > 0 ? leaves(sub, names) : [names.join(' ')];
  });
}

test('no passphrase, private key or API key is in what any command says, nor in a workspace', async (t) => {
  const { alice, bob, path, secret } = team;
  const authority = await createAuthority();
  const leaf = await authority.certify();
  const time = await authority.serveTime();
  t.after(() => time.close());
  writeFileSync(path('leaf.pem'), leaf.pem + authority.codeSigningCa.pem);
  const cipher = { cipher: 'aes-256-cbc', passphrase: pemPassphrase } as const;
  writeFileSync(path('leaf.key'), leaf.key.export({ type: 'pkcs8', format: 'pem', ...cipher }));
  writeFileSync(path('pem-passphrase'), `${pemPassphrase}\n`);
  const ran = new Set<string>();
  const names = leaves(signerProgram());
  const run = async (expected: number, ...words: string[]): Promise<void> => {
    const name = names.find((one) => `${words.join(' ')} `.startsWith(`${one} `));
    assert.ok(name, words.join(' '));
    ran.add(name);
    assert.equal(await alice.quickWords(...words), expected, `${words.join(' ')}\n${alice.said.at(-1)!}`);
  };
  const both = ['alice', 'alice-chain', path('bob', 'keys', 'bob'), path('bob', 'keys', 'bob-chain')];
  const sign = ['change', 'sign', '--key', ...both];

  // Runs the program itself where a secret is made or opened; the other commands run inside this process.
  await alice.words('key', 'generate', 'extra', '--type', 'rsa', ...secret, '--insecure-fast-scrypt-for-demo');
  await run(1, 'key', 'generate', 'extra', ...secret);
  await run(0, 'key', 'list');
  await run(0, 'key', 'show', 'extra');
  await team.init();
  await run(1, 'init', ...['root', 'targets'].flatMap((role) => [`--${role}`, 'alice']));
  await run(1, ...sign, '--passphrase-file', path('pem-passphrase'));
  await run(1, ...sign);
  await alice.words(...sign, ...secret);
  const identity = { type: 'x509', authority: 'standin', issuer: issuerText(leaf), subject: { ...vendor } };
  const draft = team.writeDraft('codesign', {
    authorities: { standin: { kind: 'x509', trustedRoot: authority.trustedRoot() } },
    identities: { vendor: { type: 'key', publicKey: 'code' }, company: identity },
    components: { '*': [{ role: 'vendor', identities: ['vendor', 'company'], threshold: 1 }] },
    persons: {
      alice: { name: 'Alice', keys: ['alice'], identities: [] },
      carol: { name: 'Carol', keys: [], identities: ['vendor', 'company'] },
    },
  });
  await run(0, 'authority', 'codesign', '--file', draft);
  await run(0, 'authority', 'devices', '--file', path('devices.json'));
  await run(0, 'role', 'delegate', 'component-other', '--role-key', 'alice', 'bob');
  await run(0, 'role', 'keys', 'component-other', '--role-key', 'alice', 'bob', 'extra');
  await run(0, ...sign, ...secret);
  const server = await team.serveHere();
  t.after(() => server.close());
  await run(0, ...team.publish);

  await run(0, 'pack', team.writeComponent('1.0.0'));
  await run(1, 'sign', 'app@1.0.0', '--key', 'code', '--passphrase-file', path('pem-passphrase'));
  await alice.words('sign', 'app@1.0.0', '--key', 'code', ...secret);
  const certificate = ['--certificate', path('leaf.pem'), '--timestamp-url', time.url, '--private-key'];
  await run(1, 'sign', 'app@1.0.0', ...certificate, path('leaf.key'), ...secret);
  await run(1, 'sign', 'app@1.0.0', ...certificate, 'extra', ...secret);
  const opened = ['--passphrase-file', path('pem-passphrase')];
  await alice.words('sign', 'app@1.0.0', ...certificate, path('leaf.key'), ...opened);
  await run(0, 'release', 'add', 'app@1.0.0');
  await run(0, 'channel', 'offer', 'app@1.0.0');
  await run(0, 'channel', 'rollout', 'app@1.0.0', '--stage', '24:50');
  await run(0, 'channel', 'block', 'app@0.1.0', '--reason', 'old');
  await run(0, 'channel', 'withdraw', 'app@1.0.0');
  await run(0, 'revoke', 'release', 'app@1.0.0', '--reason', 'x');
  await run(0, 'revoke', 'certificate', path('leaf.pem'), '--reason', 'x');
  await run(0, 'revoke', 'key', 'code', '--reason', 'x');
  await run(0, 'revoke', 'minimum', 'app', '0.5.0');
  await run(0, 'change', 'discard');
  await run(0, 'renew', 'channels');
  await run(0, 'change', 'export', path('given.json'));
  await run(0, 'change', 'import', path('given.json'));
  await bob.quickWords('change', 'import', path('given.json'));
  await bob.words('change', 'sign', '--key', 'bob', ...secret);
  await run(0, 'change', 'show');
  await run(0, 'status');
  await run(0, 'change', 'rebase', team.url);
  await run(1, 'doctor');
  await run(0, ...sign, ...secret);
  // Also publishing that fails: no server, another key, a password in the address.
  const apiKey = readFileSync(path('api-key'), 'utf8').trim();
  await run(1, 'publish', '--to', 'http://127.0.0.1:1/', '--api-key-file', path('api-key'));
  await run(
    1,
    'publish',
    '--to',
    `http://me:${pemPassphrase.replaceAll(' ', '-')}@127.0.0.1:1/`,
    ...team.publish.slice(3),
  );
  await alice.words(...team.publish);
  await run(0, 'verify', team.url);
  assert.deepEqual([...ran].sort(), names.sort(), 'every command was run');

  const secrets = new Map<string, string[]>([
    ['passphrase', [passphrase, pemPassphrase, pemPassphrase.replaceAll(' ', '-')]],
    ['API key', [apiKey]],
    ['certificate', formsOf(leaf.key)],
  ]);
  for (const name of ['alice/alice', 'alice/alice-chain', 'alice/code', 'alice/extra', 'bob/bob', 'bob/bob-chain']) {
    const [who, key] = name.split('/') as [string, string];
    const file = locateKey(path(who), key);
    secrets.set(name, formsOf((await decryptKeyFile(file, readPublicKeyFile(file.publicFile), passphrase))!));
  }
  const places = new Map<string, string>([['what was said', [...alice.said, ...bob.said].join('\n')]]);
  for (const folder of ['alice', 'bob', 'repository/metadata', 'repository/targets', 'repository/staging'])
    for (const entry of readdirSync(path(folder), { withFileTypes: true, recursive: true }))
      if (entry.isFile()) {
        const file = join(entry.parentPath, entry.name);
        places.set(file, readFileSync(file, 'latin1'));
      }
  assert.ok(places.get('what was said')!.length > 10_000 && places.size > 60);
  for (const [what, forms] of secrets)
    for (const form of forms)
      for (const [place, text] of places) assert.ok(!text.includes(form), `${what} is in ${place}`);
  for (const [place, text] of places) assert.ok(!/BEGIN (\w+ )?PRIVATE KEY/.test(text), place);
  // The search works: it finds the secrets in the files that are meant to hold them.
  assert.ok(readFileSync(path('passphrase'), 'utf8').includes(secrets.get('passphrase')![0]!));
  const online = readFileSync(path('repository', 'server', 'online-keys.secret.json'), 'utf8');
  const pem = (JSON.parse(online) as { snapshot: string }).snapshot;
  assert.ok(formsOf(createPrivateKey(pem)).some((form) => online.includes(form)));
});
