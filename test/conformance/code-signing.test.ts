/** The command for the Sigstore conformance cases, run as they run it: from any folder, by absolute path. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { preAuthEncoding, statementPayloadType } from '@countersign/protocol';
import { createAuthority } from '../../demo/authority.ts';

const entry = join(import.meta.dirname, 'code-signing');
const folder = mkdtempSync(join(tmpdir(), 'countersign-bundles-'));
const at = (name: string): string => join(folder, name);
const artifact = Buffer.from('what is signed');
const digest = createHash('sha256').update(artifact).digest();
const byDigest = ['--digest', `sha256:${digest.toString('hex')}`];
const byPath = ['--artifact', 'artifact'];
let common: string[];

before(async () => {
  writeFileSync(at('artifact'), artifact);
  writeFileSync(at('other'), 'something else');
  writeFileSync(at('root.json'), JSON.stringify((await createAuthority()).trustedRoot()));
  common = ['--trusted-root', 'root.json', '--key', 'key.pem'];
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number | null;
  readonly stderr: string;
}

function run(...args: string[]): Promise<Ran> {
  const child = spawn(process.execPath, [entry, ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((done) => child.on('close', (code) => done({ code, stderr })));
}

const hint = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64');

interface Content {
  mediaType: string;
  verificationMaterial: Record<string, unknown>;
  messageSignature?: { messageDigest: { algorithm: string; digest: string }; signature: string };
  dsseEnvelope?: { payload: string; payloadType: string; signatures: { sig: string }[] };
}

function bundleOf(secret: KeyObject, kind: 'message' | 'statement', version = '0.3'): Content {
  const key = createPublicKey(secret);
  writeFileSync(at('key.pem'), key.export({ type: 'spki', format: 'pem' }));
  const mediaType =
    version === '0.3'
      ? 'application/vnd.dev.sigstore.bundle.v0.3+json'
      : `application/vnd.dev.sigstore.bundle+json;version=${version}`;
  const verificationMaterial = { publicKey: { hint: hint(key) }, tlogEntries: [] };
  if (kind === 'message') {
    const signature = sign('sha256', artifact, secret).toString('base64');
    const messageDigest = { algorithm: 'SHA2_256', digest: digest.toString('base64') };
    return { mediaType, verificationMaterial, messageSignature: { messageDigest, signature } };
  }
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'artifact', digest: { sha256: digest.toString('hex') } }],
    predicateType: 'https://example.org/any',
    predicate: {},
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const sig = sign('sha256', preAuthEncoding(statementPayloadType, payload), secret).toString('base64');
  const dsseEnvelope = {
    payload: payload.toString('base64'),
    payloadType: statementPayloadType,
    signatures: [{ sig }],
  };
  return { mediaType, verificationMaterial, dsseEnvelope };
}

function put(bundle: object): string {
  writeFileSync(at('bundle.json'), JSON.stringify(bundle));
  return 'bundle.json';
}

const p256 = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const rsa = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey;

for (const [name, make] of Object.entries({
  'P-256': p256,
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  RSA: rsa,
}))
  test(`a message signed by ${name} holds for its artifact, by file and by digest, and for no other`, async () => {
    const bundle = put(bundleOf(make(), 'message'));
    assert.equal((await run(bundle, ...byPath, ...common)).code, 0);
    assert.equal((await run(bundle, ...byDigest, ...common)).code, 0);
    assert.equal((await run(bundle, '--artifact', 'other', ...common)).code, 1);
    assert.equal((await run(bundle, '--digest', `sha256:${'0'.repeat(64)}`, ...common)).code, 1);
  });

test('a statement holds for its subject, in each version of the bundle', async () => {
  const secret = p256();
  for (const version of ['0.1', '0.2', '0.3']) {
    const bundle = put(bundleOf(secret, 'statement', version));
    assert.equal((await run(bundle, ...byPath, ...common)).code, 0, version);
    assert.equal((await run(bundle, ...byDigest, ...common)).code, 0, version);
    assert.equal((await run(bundle, '--artifact', 'other', ...common)).code, 1, version);
  }
});

const spoiled: Record<string, (bundle: Content) => void> = {
  'another signature over the message': (bundle) => {
    bundle.messageSignature!.signature = sign('sha256', artifact, p256()).toString('base64');
  },
  'another digest of the message': (bundle) => {
    bundle.messageSignature!.messageDigest.digest = Buffer.alloc(32).toString('base64');
  },
  'a digest of an unknown kind': (bundle) => {
    bundle.messageSignature!.messageDigest.algorithm = 'SHA3_256';
  },
  'an unknown media type': (bundle) => {
    bundle.mediaType = 'application/vnd.dev.sigstore.bundle.v9+json';
  },
  'no signer': (bundle) => {
    bundle.verificationMaterial = { tlogEntries: [] };
  },
};
for (const [what, spoil] of Object.entries(spoiled))
  test(`refused: ${what}`, async () => {
    const bundle = bundleOf(p256(), 'message');
    spoil(bundle);
    put(bundle);
    for (const by of [byPath, byDigest]) assert.equal((await run('bundle.json', ...by, ...common)).code, 1);
  });

test('refused: a statement of another payload type, with another payload, or without the subject', async () => {
  const change = (edit: (envelope: NonNullable<Content['dsseEnvelope']>) => void): string => {
    const bundle = bundleOf(p256(), 'statement');
    edit(bundle.dsseEnvelope!);
    return put(bundle);
  };
  const edits: ((envelope: NonNullable<Content['dsseEnvelope']>) => void)[] = [
    (envelope) => (envelope.payloadType = 'text/plain'),
    (envelope) => (envelope.payload = Buffer.from('{"subject":[]}').toString('base64')),
    (envelope) => (envelope.payload = Buffer.from('not JSON').toString('base64')),
    (envelope) => (envelope.signatures[0]!.sig = Buffer.alloc(70, 1).toString('base64')),
  ];
  for (const edit of edits) assert.equal((await run(change(edit), ...byPath, ...common)).code, 1);
});

test('refused: the wrong key, a certificate expected where a key signed, a file that is no bundle', async () => {
  put(bundleOf(p256(), 'message'));
  writeFileSync(at('key.pem'), createPublicKey(p256()).export({ type: 'spki', format: 'pem' }));
  assert.equal((await run('bundle.json', ...byPath, ...common)).code, 1);
  const { code, stderr } = await run(
    ...['bundle.json', ...byPath, '--trusted-root', 'root.json'],
    ...['--san', 'a@example.org', '--issuer', 'https://example.org'],
  );
  assert.equal(code, 1);
  assert.match(stderr, /error\[CODESIGN_BUNDLE\]/);
  writeFileSync(at('bundle.json'), 'nothing');
  assert.equal((await run('bundle.json', ...byPath, ...common)).code, 1);
});

test('wrong usage exits 2', async () => {
  for (const args of [
    [],
    ['bundle.json'],
    ['bundle.json', ...byPath, ...byDigest, ...common],
    ['bundle.json', ...byPath, '--trusted-root', 'root.json', '--san', 'only'],
    ['bundle.json', ...byPath, ...common, '--unknown'],
    ['bundle.json', '--digest', 'sha256:short', ...common],
  ])
    assert.equal((await run(...args)).code, 2, args.join(' '));
});
