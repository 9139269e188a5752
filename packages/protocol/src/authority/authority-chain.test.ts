import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyIdOf, type PublicKey } from '../public-key.ts';
import { authorityPayload, chainSignatures, extendChain, readChain } from './authority-chain.ts';
import { checkCodesign } from './authority-rules.ts';
import { codesignPayloadType, devicesType, type CodesignAuthority, type DevicesAuthority } from './authority.ts';
import { signEnvelope, type EnvelopeSigner } from './dsse.ts';

interface Key extends EnvelopeSigner {
  readonly key: PublicKey;
}

function newKey(): Key {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: pair.publicKey.export({ type: 'spki', format: 'pem' }) },
  };
  return { keyid: keyIdOf(key), key, sign: (bytes) => sign('sha256', bytes, pair.privateKey) };
}
const keysOf = (...keys: Key[]) => Object.fromEntries(keys.map(({ keyid, key }) => [keyid, key]));
const [a, b, c, d] = [newKey(), newKey(), newKey(), newKey()];

const devices = (
  version: number,
  signers: DevicesAuthority['signers'],
  more: Partial<DevicesAuthority> = {},
): DevicesAuthority => ({
  _type: devicesType,
  version,
  issued: `2026-01-0${Math.min(version, 9)}T00:00:00Z`,
  expires: '2027-01-01T00:00:00Z',
  signers,
  models: {},
  phiAllowed: [],
  denied: [],
  approvers: { standard: 1, high: 1, phi: 2 },
  regions: { global: { hosts: ['updates.example'] } },
  ...more,
});
async function line(
  body: DevicesAuthority,
  keys: readonly EnvelopeSigner[],
  lines: readonly Buffer[] = [],
): Promise<Buffer> {
  const { payload, payloadType } = authorityPayload('devices', body);
  return extendChain(lines, await signEnvelope(payloadType, payload, keys));
}
const split = (chain: Buffer): Buffer[] =>
  chain
    .toString()
    .trimEnd()
    .split('\n')
    .map((text) => Buffer.from(text));

const two = { keys: keysOf(a, b), threshold: 2 };
const first = await line(devices(1, two), [a, b]);
const second = await line(devices(2, { keys: keysOf(c, d), threshold: 1 }), [a, b, c], split(first));
const third = await line(devices(3, { keys: keysOf(c, d), threshold: 1 }), [d], split(second));

test('follows the signers from version to version', () => {
  assert.equal(readChain('devices', first, first).version, 1);
  const chain = readChain('devices', third, first);
  assert.deepEqual([chain.version, chain.body.version, chain.digests.length], [3, 3, 3]);
  assert.equal(readChain('devices', third, first, chain.digests).version, 3);
  assert.equal(readChain('devices', third, first, chain.digests.slice(0, 1)).version, 3);
});

test('refuses a shorter chain and another one', async () => {
  const { digests } = readChain('devices', third, first);
  assert.throws(() => readChain('devices', second, first, digests), { code: 'AUTHORITY_ROLLBACK' });
  const other = await line(devices(2, two), [a, b], split(first));
  assert.throws(() => readChain('devices', other, first, digests.slice(0, 2)), { code: 'AUTHORITY_FORK' });
  const foreign = await line(devices(1, { keys: keysOf(c), threshold: 1 }), [c]);
  assert.throws(() => readChain('devices', foreign, first), { code: 'AUTHORITY_FORK' });
});

for (const [what, body, keys] of [
  ['below the threshold of the version before', devices(2, two), [a]],
  ['signed by strangers alone', devices(2, { keys: keysOf(c), threshold: 1 }), [c, d]],
  ['not signed by its own signers', devices(2, { keys: keysOf(c), threshold: 1 }), [a, b]],
  ['that skips a version', devices(3, two), [a, b]],
  ['issued before the one it follows', devices(2, two, { issued: '2025-12-31T00:00:00Z' }), [a, b]],
] as [string, DevicesAuthority, Key[]][])
  test(`refuses a version ${what}`, async () => {
    const chain = await line(body, keys, split(first));
    assert.throws(() => readChain('devices', chain, first), { code: 'AUTHORITY_CHAIN' });
  });

test('counts one key once, however often it signs', async () => {
  const { payload, payloadType } = authorityPayload('devices', devices(2, two));
  const envelope = await signEnvelope(payloadType, payload, [a]);
  const doubled = { ...envelope, signatures: [...envelope.signatures, ...envelope.signatures] };
  assert.throws(() => readChain('devices', extendChain(split(first), doubled), first), { code: 'AUTHORITY_CHAIN' });
  assert.deepEqual(chainSignatures(devices(1, two), devices(2, two), envelope), {
    signed: [a.keyid],
    missing: [b.keyid],
    complete: false,
  });
});

test('refuses base64 in another form of the same bytes', () => {
  const lines = split(third);
  const envelope = JSON.parse(lines[2]!.toString()) as { signatures: { sig: string }[] };
  const { sig } = envelope.signatures[0]!;
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const at = sig.replace(/=+$/, '').length - 1;
  const other = letters[letters.indexOf(sig[at]!) ^ 1]!;
  const changed = sig.slice(0, at) + other + sig.slice(at + 1);
  if (Buffer.from(changed, 'base64').equals(Buffer.from(sig, 'base64')))
    assert.throws(() => readChain('devices', Buffer.from(third.toString().replace(sig, changed)), first), {
      code: 'FORMAT_NOT_CANONICAL',
    });
  const padded = Buffer.from(third.toString().replace(sig, `${sig}=`));
  assert.throws(() => readChain('devices', padded, first), { code: /FORMAT_/ });
});

test('refuses an envelope of another kind', async () => {
  const { payload } = authorityPayload('devices', devices(2, two));
  const chain = extendChain(split(first), await signEnvelope(codesignPayloadType, payload, [a, b]));
  assert.throws(() => readChain('devices', chain, first), { code: 'AUTHORITY_CHAIN' });
});

test('refuses an unfinished line and a flipped byte anywhere', () => {
  const refused = (chain: Buffer, message: RegExp): void =>
    assert.throws(() => readChain('devices', chain, first), { code: 'AUTHORITY_CHAIN', message });
  refused(third.subarray(0, -1), /does not end with a newline/);
  refused(Buffer.concat([third, Buffer.alloc(8 << 20, 0x20)]), /bytes, allowed are/);
  refused(Buffer.concat([first, Buffer.alloc(1000, 0x0a)]), /more than 1000 versions/);
  fc.assert(
    fc.property(fc.nat({ max: third.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Buffer.from(third);
      changed[at]! ^= mask;
      assert.throws(
        () => readChain('devices', changed, first),
        (error: { code?: string }) => /^(AUTHORITY|FORMAT)_/.test(error.code ?? ''),
      );
    }),
    { numRuns: 400 },
  );
});

const codesign = (more: Partial<CodesignAuthority>): CodesignAuthority => ({
  _type: 'https://countersign.dev/authority/codesign/v1',
  version: 1,
  issued: '2026-01-01T00:00:00Z',
  signers: two,
  authorities: { ca: { kind: 'x509', trustedRoot: {} } },
  identities: {
    one: { type: 'key', publicKey: a.key },
    vendor: { type: 'x509', authority: 'ca', issuer: 'CN=x', subject: { O: 'y' } },
  },
  persons: { alice: { name: 'Alice', keys: [a.keyid], identities: ['one'] } },
  components: { '*': [{ role: 'release', identities: ['one', 'vendor'], threshold: 1 }] },
  ...more,
});

test('accepts a codesign body that agrees with itself', () => checkCodesign(codesign({})));

const odd: PublicKey = { keytype: 'ed448', scheme: 'ed448', keyval: { public: 'ab' } };
const twin: PublicKey = { ...a.key, keytype: 'ecdsa-sha2-nistp256' };

for (const [what, more] of [
  ['a signer’s key that cannot be used', { signers: { keys: { ...keysOf(a, b), [keyIdOf(odd)]: odd }, threshold: 1 } }],
  ['one key as two signers', { signers: { keys: { ...keysOf(a), [keyIdOf(twin)]: twin }, threshold: 1 } }],
  ['a threshold that its signers cannot reach', { signers: { keys: keysOf(a), threshold: 2 } }],
  ['a key under an id that is not its own', { signers: { keys: { [b.keyid]: a.key }, threshold: 1 } }],
  ['an identity of an authority that is not there', { authorities: {} }],
  ['an identity of an authority of another kind', { authorities: { ca: { kind: 'keyless', trustedRoot: {} } } }],
  [
    'a key of two persons',
    {
      persons: {
        alice: { name: 'A', keys: [a.keyid], identities: [] },
        bob: { name: 'B', keys: [a.keyid], identities: [] },
      },
    },
  ],
  [
    'an identity of two persons',
    {
      persons: {
        alice: { name: 'A', keys: [], identities: ['one'] },
        bob: { name: 'B', keys: [], identities: ['one'] },
      },
    },
  ],
  ['a person with an identity that is not there', { persons: { alice: { name: 'A', keys: [], identities: ['two'] } } }],
  [
    'a rule with an identity that is not there',
    { components: { '*': [{ role: 'release', identities: ['two'], threshold: 1 }] } },
  ],
  ['a rule that cannot be met', { components: { '*': [{ role: 'release', identities: ['one'], threshold: 2 }] } }],
  [
    'one role twice',
    {
      components: {
        '*': [
          { role: 'r', identities: ['one'], threshold: 1 },
          { role: 'r', identities: ['vendor'], threshold: 1 },
        ],
      },
    },
  ],
  [
    'an identity whose key cannot be used',
    {
      identities: {
        one: { type: 'key', publicKey: { ...a.key, scheme: 'ed25519' } },
        vendor: { type: 'key', publicKey: b.key },
      },
    },
  ],
] as [string, Partial<CodesignAuthority>][])
  test(`refuses a codesign body with ${what}`, () =>
    assert.throws(() => checkCodesign(codesign(more)), { code: 'AUTHORITY_BODY' }));

test('refuses a devices body that expires before it was issued, or with a host that is none', () => {
  assert.throws(() => authorityPayload('devices', devices(1, two, { expires: '2025-01-01T00:00:00Z' })), {
    code: 'AUTHORITY_BODY',
  });
  for (const host of ['UPPER.example', 'a/b', 'user@host', 'host:443', ''])
    assert.throws(() => authorityPayload('devices', devices(1, two, { regions: { global: { hosts: [host] } } })), {
      code: 'AUTHORITY_BODY',
    });
});

test('the first version of a chain needs its own signers alone', async () => {
  const { payload, payloadType } = authorityPayload('devices', devices(1, two));
  const signedBy = (...keys: Key[]) => signEnvelope(payloadType, payload, keys);
  assert.deepEqual(chainSignatures(undefined, devices(1, two), await signedBy(a)), {
    signed: [a.keyid],
    missing: [b.keyid],
    complete: false,
  });
  assert.equal(chainSignatures(undefined, devices(1, two), await signedBy(a, b)).complete, true);
});
