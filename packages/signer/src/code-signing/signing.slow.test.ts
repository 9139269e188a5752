/** Signs packed releases with real certificates and timestamps, up to a device's verdict; and tests every refusal. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { Encrypter } from 'age-encryption';
import {
  codesignPayloadType,
  judgeSignatures,
  readBundles,
  keyMaterial,
  revocationsFormat,
  serialize,
  sha256,
  type CodesignAuthority,
  type Revocations,
  noRevocations,
} from '@countersign/protocol';
import { createAuthority, vendor, type Authority } from '../../../../demo/authority.ts';
import type { Issued } from '../../../../demo/certificates.ts';
import type { TimeStamper } from '../../../../demo/time-stamping.ts';
import { writeComponents } from '../../../../fixtures/component-folders.ts';
import { commandOutput } from '../../../../test/support/command-output.ts';
import { pinnedKey, sampleAuthority } from '../../../../test/support/signed-release.ts';
import { bundleLine, chainLine, p256Key } from '../../../../test/support/signing-keys.ts';
import { emptyTargets } from '../change/change-edits.ts';
import { generateKeyFiles, insecureScryptWorkFactor, publicKeyOf } from '../keys/key-files.ts';
import { namedKeyFile, readPublicKey } from '../keys/key-uris.ts';
import { bundlesFile, readArtifact, type Signatures } from '../releases/artifacts.ts';
import { packComponent } from '../releases/packing.ts';
import { Workspace } from '../workspace/workspace.ts';
import { mergeBundle, signRelease } from './signing.ts';

const root = mkdtempSync(join(tmpdir(), 'countersign-signing-'));
const packed = join(root, 'packed');
const sample = writeComponents(join(root, 'sample'), { only: ['remote-support@2.1.0'], platform: 'linux-x64' })[0]!;
const passphrase = 'correct-horse-battery';
const pemPassphrase = 'another-passphrase';
const at = (name: string): string => join(root, name);
const name = { component: 'remote-support', version: '2.1.0', platform: 'linux-x64' } as const;
const tuf = p256Key();
const other = pinnedKey();
let authority: Authority;
let leaf: Issued;
let time: TimeStamper;
let chain: CodesignAuthority;
let workspace: string;
let count = 0;

before(async () => {
  authority = await createAuthority();
  leaf = await authority.certify();
  time = await authority.serveTime();
  const keys = ['pinned', 'edwards'].map((key) => namedKeyFile(packed, key));
  await generateKeyFiles(
    [
      { file: keys[0]!, type: 'rsa' },
      { file: keys[1]!, type: 'ed25519' },
    ],
    passphrase,
    insecureScryptWorkFactor,
  );
  chain = sampleAuthority(authority, leaf, { ...other, key: tuf.key, keyid: tuf.id });
  chain.identities.pinned = { type: 'key', publicKey: readPublicKey(packed, 'pinned') };
  chain.components['*'] = [
    { role: 'vendor', identities: ['vendor'], threshold: 1 },
    { role: 'release', identities: ['pinned'], threshold: 1 },
  ];
  await packComponent({ workspace: packed, folder: sample });
  trust(chain);
  writeFileSync(at('passphrase.txt'), `${passphrase}\n`);
  writeFileSync(at('pem-passphrase.txt'), `${pemPassphrase}\n`);
  writeFileSync(at('leaf.pem'), leaf.pem + authority.codeSigningCa.pem);
  writeFileSync(at('leaf.key'), leaf.key.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(
    at('encrypted.key'),
    leaf.key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: pemPassphrase }),
  );
});
after(async () => {
  await time.close();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  workspace = join(root, `workspace-${++count}`);
  cpSync(packed, workspace, { recursive: true });
});

function trust(body: CodesignAuthority | null, revocations?: Revocations, into = packed): void {
  const workspace = new Workspace(into);
  const put = (path: string, text: string | Buffer): void => {
    const bytes = Buffer.from(text);
    const role = path.split('/')[0]!;
    const target = { length: bytes.length, hashes: { sha256: sha256(bytes) } };
    const signed = { ...emptyTargets(role, new Date()), targets: { [path]: target } };
    workspace.replaceTrusted(new Map([[role, serialize(signed, [])]]), new Map([[path, bytes]]));
  };
  if (body) put('authority/codesign.jsonl', chainLine(codesignPayloadType, body, [tuf]));
  else rmSync(join(into, 'state'), { recursive: true });
  if (revocations) put('revocations/revocations.json', revocationsFormat.serialize(revocations));
}

interface Answer {
  outcome: string;
  identity: string | null;
  times: string[];
  roles: Record<string, string[]> | null;
  missing: { role: string }[] | null;
  lines: number;
}
const said: string[] = [];
/** Shows every stack and cause, so that a secret in one would be found. */
process.env.COUNTERSIGN_DEBUG = '1';
async function sign(...words: string[]) {
  const output = await commandOutput(['--workspace', workspace, 'sign', 'remote-support@2.1.0', ...words]);
  said.push(output.out, output.err);
  return output;
}
const certificate = (key = at('leaf.key'), url = time.url): string[] => [
  '--certificate',
  at('leaf.pem'),
  '--private-key',
  key,
  '--timestamp-url',
  url,
];
const pinned = ['--key', 'pinned', '--passphrase-file', at('passphrase.txt')];
const bundles = (): Buffer | null => readArtifact(workspace, name).signatures?.bytes ?? null;
async function refuses(code: string, ...words: string[]): Promise<string> {
  const before = bundles();
  const output = await sign(...words, '--json');
  assert.equal(output.json<{ error?: { code: string } }>().error?.code, code);
  assert.deepEqual(bundles(), before, 'nothing is written');
  return output.out;
}

test('two signers make a release that a device accepts; each says what is still missing', async () => {
  const first = (await sign(...certificate(), '--json')).json<Answer>();
  assert.equal(first.identity, 'vendor');
  assert.equal(first.times.length, 1);
  assert.deepEqual(first.missing, [{ role: 'release', have: 0, need: 1 }]);
  const second = (await sign(...pinned, '--json')).json<Answer>();
  assert.deepEqual(second.roles, { vendor: ['vendor'], release: ['pinned'] });
  assert.deepEqual(second.missing, []);
  const verdict = judgeSignatures({
    bundles: readBundles(bundles()!),
    authority: chain,
    revocations: noRevocations,
    expected: name,
  });
  assert.equal(verdict.release, readArtifact(workspace, name).release);
});

test('signs with an encrypted PEM file, and with a key of the workspace', async () => {
  const unlock = [...pinned.slice(2), at('pem-passphrase.txt')];
  assert.equal((await sign(...certificate(at('encrypted.key')), ...unlock)).code, 0);
  const rsa = await authority.certify(vendor, { rsaBits: 3072 });
  writeFileSync(at('rsa.pem'), rsa.pem);
  writeFileSync(at('rsa.key'), rsa.key.export({ type: 'pkcs1', format: 'pem' }) as string);
  const renewed = await sign(...certificate(at('rsa.key')), '--certificate', at('rsa.pem'), '--json');
  assert.equal(renewed.json<Answer>().outcome, 'replaced');
});

test('signs a certificate’s release with its key in an age file', async () => {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(insecureScryptWorkFactor);
  const file = namedKeyFile(workspace, 'vendor');
  writeFileSync(file.privateFile, await encrypter.encrypt(leaf.key.export({ type: 'pkcs8', format: 'pem' }) as string));
  writeFileSync(file.publicFile, JSON.stringify(publicKeyOf(leaf.key)));
  for (const uri of ['file:keys/vendor.age', 'vendor'])
    assert.equal((await sign(...certificate(uri), '--passphrase-file', at('passphrase.txt'))).code, 0, uri);
});

test('the same identity signs again in its own place', async () => {
  await sign(...certificate());
  await sign(...pinned);
  const before = bundles()!;
  const again = (await sign(...certificate(), '--json')).json<Answer>();
  assert.deepEqual([again.outcome, again.lines], ['replaced', 2]);
  assert.notDeepEqual(bundles(), before);
});

test('writes nothing when the time-stamping service is unreachable, refuses or answers nonsense', async () => {
  await sign(...pinned);
  await refuses('SIGN_TIMESTAMP', ...certificate(undefined, 'http://127.0.0.1:1/'));
  const refusing = await authority.serveTime({ status: 2 });
  const nonsense = createServer((_, response) => response.end('hello'));
  await new Promise<void>((listening) => nonsense.listen(0, '127.0.0.1', listening));
  await refuses('SIGN_TIMESTAMP', ...certificate(undefined, refusing.url));
  await refuses(
    'SIGN_TIMESTAMP',
    ...certificate(undefined, `http://127.0.0.1:${(nonsense.address() as AddressInfo).port}`),
  );
  await refusing.close();
  nonsense.close();
  for (const url of ['ftp://x/', 'nowhere', 'http://user:hidden-word@127.0.0.1/'])
    assert.doesNotMatch(await refuses('SIGN_TIMESTAMP', ...certificate(undefined, url)), /hidden-word/);
});

test('refuses a signature that the authority would not believe', async () => {
  const stranger = await authority.certify({ C: 'XX', O: 'Other', CN: 'Other' });
  writeFileSync(at('stranger.pem'), stranger.pem);
  writeFileSync(at('stranger.key'), stranger.key.export({ type: 'pkcs8', format: 'pem' }));
  await refuses('SIGN_NOT_BELIEVED', ...certificate(at('stranger.key')), '--certificate', at('stranger.pem'));
  await refuses('SIGN_NOT_BELIEVED', '--key', 'edwards', '--passphrase-file', at('passphrase.txt'));
  const spki = keyMaterial(readPublicKey(workspace, 'pinned'))!;
  trust(chain, { ...noRevocations, keys: [{ spki, reason: 'stolen' }] }, workspace);
  await refuses('SIGN_NOT_BELIEVED', ...pinned);
  // Without an authority nothing can refuse it.
  trust(null, undefined, workspace);
  const answer = (await sign('--key', 'edwards', '--passphrase-file', at('passphrase.txt'), '--json')).json<Answer>();
  assert.deepEqual([answer.identity, answer.missing], [null, null]);
});

test('refuses keys and certificates that do not fit', async () => {
  writeFileSync(at('other.key'), other.secret.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(at('nonsense.key'), '-----BEGIN PRIVATE KEY-----\nhidden-word\n-----END PRIVATE KEY-----\n');
  writeFileSync(at('plain.key'), 'hidden-word');
  writeFileSync(at('large.key'), Buffer.alloc(70_000, '-'));
  await refuses('SIGN_KEY', ...certificate(at('other.key')));
  await refuses('KEY_FILE', ...certificate(at('nonsense.key')));
  await refuses('KEY_FILE', ...certificate(at('plain.key')));
  await refuses('FILE_READ', ...certificate(at('large.key')));
  await refuses('KEY_MISSING', ...certificate(at('absent.key')));
  await refuses('KEY_MISSING', ...certificate('absent'));
  await refuses('KEY_TYPE', ...certificate('edwards'), '--passphrase-file', at('passphrase.txt'));
  await refuses('KEY_SOURCE_UNAVAILABLE', ...certificate('pkcs11:token=x;object=y'));
  await refuses('KEY_PASSPHRASE_NEEDED', ...certificate(at('encrypted.key')));
  await refuses('KEY_PASSPHRASE_WRONG', ...certificate(at('encrypted.key')), '--passphrase-file', at('passphrase.txt'));
  await refuses('SIGN_CERTIFICATE', ...certificate(), '--certificate', at('absent.pem'));
  await refuses('SIGN_CERTIFICATE', ...certificate(), '--certificate', at('leaf.key'));
  const tls = await authority.certify(vendor, { usages: { oids: ['1.3.6.1.5.5.7.3.1'], critical: false } });
  writeFileSync(at('tls.pem'), tls.pem);
  writeFileSync(at('tls.key'), tls.key.export({ type: 'pkcs8', format: 'pem' }));
  await refuses('SIGN_CERTIFICATE', ...certificate(at('tls.key')), '--certificate', at('tls.pem'));
});

test('refuses to sign what is not as it was packed', async () => {
  const artifact = readArtifact(workspace, name);
  for (const { file } of artifact.files) {
    const good = readFileSync(file);
    writeFileSync(file, Buffer.concat([good, Buffer.from('x')]));
    await refuses('ARTIFACT_DAMAGED', ...pinned);
    writeFileSync(file, good.subarray(1));
    await refuses('ARTIFACT_DAMAGED', ...pinned);
    writeFileSync(file, good);
  }
  assert.equal((await commandOutput(['--workspace', workspace, 'sign', 'nobody@1.0.0', ...pinned])).code, 1);
});

test('refuses a private key that signs something else', async () => {
  const signer = { ...other.signer, sign: () => Buffer.alloc(70) };
  await assert.rejects(signRelease({ workspace, name, signer, rules: null }), { code: 'SIGN_KEY' });
  const wrong = {
    kind: 'certificate' as const,
    certificates: leaf.pem,
    publicKey: createPublicKey(leaf.pem),
    sign: () => Buffer.alloc(70),
    timestampUrl: time.url,
  };
  await assert.rejects(signRelease({ workspace, name, signer: wrong, rules: null }), { code: 'SIGN_KEY' });
  assert.equal(bundles(), null);
});

test('keeps to 16 signatures', async () => {
  const { statementBytes } = readArtifact(workspace, name);
  const signatures = (bytes: Buffer): Signatures => ({ bytes, lines: readBundles(bytes) });
  let merged: Signatures | null = null;
  for (let index = 0; index < 16; index++) {
    const line = signatures(Buffer.from(bundleLine(statementBytes, p256Key())));
    merged = signatures(mergeBundle(merged, line).bytes);
  }
  writeFileSync(bundlesFile(workspace, name), merged!.bytes);
  await refuses('CODESIGN_BUNDLE', ...pinned);
});

test('two at once both stand', async () => {
  const signers = [pinnedKey().signer, pinnedKey().signer, pinnedKey().signer];
  await Promise.all(signers.map((signer) => signRelease({ workspace, name, signer, rules: null })));
  assert.equal(bundles()!.toString().trimEnd().split('\n').length, 3);
});

test('refuses when the release was packed anew meanwhile', async () => {
  const folder = join(root, 'changed');
  cpSync(sample, folder, { recursive: true });
  writeFileSync(join(folder, 'base', 'version.json'), '{}');
  const signer = {
    ...other.signer,
    sign: async (bytes: Uint8Array) => {
      await packComponent({ workspace, folder, existing: 'replace' });
      return other.signer.sign(bytes);
    },
  };
  await assert.rejects(signRelease({ workspace, name, signer, rules: null }), { code: 'ARTIFACT_BUSY' });
  assert.equal(bundles(), null);
});

test('no secret was in anything that was said', () => {
  const everything = said.join('\n');
  assert.ok(everything.length > 1000);
  assert.doesNotMatch(everything, /correct-horse|another-passphrase|hidden-word|PRIVATE/);
  const pem = leaf.key.export({ type: 'pkcs8', format: 'pem' }) as string;
  for (const line of pem.split('\n').filter((text) => text.length > 40)) assert.equal(everything.includes(line), false);
});
