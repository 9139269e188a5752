/**
 * Metadata that is not in the form of §4 is refused, each fault with its own words. A later crash would refuse it too, but
 * explain nothing.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { openMetadata } from './envelope.ts';
import { checkExpiry, parseTime } from './expiry.ts';
import { checkBytes } from './hashes.ts';
import { readRoot, readSnapshot, readTargets, readTimestamp } from './metadata.ts';

type Json = Record<string, unknown>;

const common = (type: string): Json => ({
  _type: type,
  spec_version: '1.0.31',
  version: 3,
  expires: '2027-01-01T00:00:00Z',
});
const key = (): Json => ({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: 'ab' } });
const role = (): Json => ({ keyids: ['a'], threshold: 1 });
const root = (): Json => ({
  ...common('root'),
  consistent_snapshot: true,
  keys: { a: key() },
  roles: { root: role(), timestamp: role(), snapshot: role(), targets: role(), mirror: role() },
});
const meta = (): Json => ({ version: 1, length: 4, hashes: { sha256: 'ab' } });
const timestamp = (): Json => ({ ...common('timestamp'), meta: { 'snapshot.json': meta() } });
const snapshot = (): Json => ({ ...common('snapshot'), meta: { 'targets.json': meta(), 'other.json': meta() } });
const delegated = (): Json => ({ ...role(), name: 'x', terminating: false, paths: ['a/*'] });
const targets = (): Json => ({
  ...common('targets'),
  targets: { 'a/b': { length: 0, hashes: { sha256: 'ab' } } },
  delegations: { keys: { a: key() }, roles: [delegated(), { ...delegated(), name: 'y' }] },
});
const bins = (): Json => ({
  ...common('targets'),
  targets: {},
  delegations: { keys: { a: key() }, succinct_roles: { ...role(), bit_length: 32, name_prefix: 'b' } },
});

/** A document, where in it a value is put (undefined removes it), the value, and the words of the refusal. */
type Fault = readonly [document: () => Json, at: string, value: unknown, says: RegExp];
const read = { root: readRoot, timestamp: readTimestamp, snapshot: readSnapshot, targets: readTargets };
const reader = (document: () => Json) => read[document()._type as keyof typeof read];

function put(document: Json, at: string, value: unknown): unknown {
  if (at === '') return value;
  const path = at.split('/');
  let inside: Json = document;
  for (const name of path.slice(0, -1)) inside = inside[name] as Json;
  if (value === undefined) delete inside[path.at(-1)!];
  else inside[path.at(-1)!] = value;
  return document;
}

const ofAll = (document: () => Json): Fault[] => [
  [document, '', null, /signed is no object/],
  [document, '', ['a'], /signed is no object/],
  [document, '_type', 'mirror', /_type is not/],
  [document, 'spec_version', 1, /spec_version is not 1\.x/],
  [document, 'spec_version', '2.0.0', /spec_version is not 1\.x/],
  [document, 'spec_version', '1.0.0-rc', /spec_version is not 1\.x/],
  [document, 'version', 0, /version is no positive integer/],
  [document, 'version', '3', /version is no positive integer/],
  [document, 'version', 1.5, /version is no positive integer/],
  [document, 'version', 2 ** 53, /version is no positive integer/],
  [document, 'spec_version', ['1.0.31'], /spec_version is not 1\.x/],
  [document, 'expires', undefined, /expires is no UTC time/],
  [document, 'expires', ['2027-01-01T00:00:00Z'], /expires is no UTC time/],
  [document, 'expires', '2027-02-30T00:00:00Z', /expires is no UTC time/],
];
const ofKeys = (document: () => Json, at: string): Fault[] => [
  [document, at, undefined, /keys is no object/],
  [document, at, [], /keys is no object/],
  [document, `${at}/a`, 'key', /no keytype or no scheme/],
  [document, `${at}/a`, null, /no keytype or no scheme/],
  [document, `${at}/a/keytype`, 1, /no keytype or no scheme/],
  [document, `${at}/a/scheme`, undefined, /no keytype or no scheme/],
  [document, `${at}/a/keyval`, 'ab', /a key has no keyval/],
];
const ofRole = (document: () => Json, at: string): Fault[] => [
  [document, at, [], /a role has no keyids/],
  [document, at, null, /a role has no keyids/],
  [document, `${at}/keyids`, 'a', /a role has no keyids/],
  [document, `${at}/keyids`, ['a', 1], /a role has no keyids/],
  [document, `${at}/keyids`, ['a', 'a'], /a role names a key id twice/],
  [document, `${at}/threshold`, 0, /a threshold is no positive integer/],
  [document, `${at}/threshold`, '1', /a threshold is no positive integer/],
];
const ofMeta = (document: () => Json, at: string): Fault[] => [
  [document, at, 1, /an entry of meta has no version/],
  [document, at, null, /an entry of meta has no version/],
  [document, `${at}/version`, 0, /an entry of meta has no version/],
  [document, `${at}/length`, -1, /a length in meta is no integer/],
  [document, `${at}/hashes`, 'ab', /hashes is no object/],
  [document, `${at}/hashes`, {}, /hashes is empty/],
  [document, `${at}/hashes/sha256`, 5, /a hash is no text/],
];

const faults: readonly Fault[] = [
  ...[root, timestamp, snapshot, targets, bins].flatMap(ofAll),
  [root, 'consistent_snapshot', 'true', /consistent_snapshot is not true or false/],
  ...ofKeys(root, 'keys'),
  [root, 'roles', [], /roles is no object/],
  ...['root', 'timestamp', 'snapshot', 'targets'].map((name): Fault => [
    root,
    `roles/${name}`,
    undefined,
    new RegExp(`it has no role ${name}`),
  ]),
  ...ofRole(root, 'roles/root'),
  ...ofRole(root, 'roles/mirror'),
  [timestamp, 'meta', null, /meta has no snapshot\.json/],
  [timestamp, 'meta/snapshot.json', undefined, /meta has no snapshot\.json/],
  ...ofMeta(timestamp, 'meta/snapshot.json'),
  [snapshot, 'meta', [], /meta is no object/],
  ...ofMeta(snapshot, 'meta/other.json'),
  [targets, 'targets', [], /targets is no object/],
  [targets, 'delegations', null, /delegations is no object/],
  ...ofKeys(targets, 'delegations/keys'),
  [targets, 'delegations/roles', undefined, /not exactly one of roles and succinct_roles/],
  [targets, 'delegations/succinct_roles', role(), /not exactly one of roles and succinct_roles/],
  [targets, 'delegations/roles', {}, /roles is no list/],
  ...ofRole(targets, 'delegations/roles/1'),
  [targets, 'delegations/roles/1/name', 'x', /a role is delegated to twice/],
  [targets, 'delegations/roles/1/name', 7, /a delegated role has no name/],
  [targets, 'delegations/roles/1/name', '', /a delegated role has no name/],
  [targets, 'delegations/roles/1/name', 'snapshot', /it delegates to snapshot/],
  [targets, 'delegations/roles/1/terminating', 0, /terminating is not true or false/],
  [targets, 'delegations/roles/1/paths', undefined, /not exactly one of paths and path_hash_prefixes/],
  [targets, 'delegations/roles/1/path_hash_prefixes', ['a'], /not exactly one of paths and path_hash_prefixes/],
  [targets, 'delegations/roles/1/paths', ['a', 1], /paths is no list of texts/],
  ...ofRole(bins, 'delegations/succinct_roles'),
  [bins, 'delegations/succinct_roles/bit_length', 0, /bit_length is not 1 to 32/],
  [bins, 'delegations/succinct_roles/bit_length', 33, /bit_length is not 1 to 32/],
  [bins, 'delegations/succinct_roles/name_prefix', 1, /succinct_roles has no name_prefix/],
];

test('documents in the form of the specification are read', () => {
  for (const document of [root, timestamp, snapshot, targets, bins])
    assert.deepEqual(reader(document)(document()), document());
  const bare = put(put(snapshot(), 'meta/other.json/length', undefined) as Json, 'meta/other.json/hashes', undefined);
  assert.deepEqual(readSnapshot(bare), bare);
  // A key of an unknown kind may store its material differently.
  assert.ok(readRoot(put(root(), 'keys/a/keyval', { other: 1 })));
});

for (const [document, at, value, says] of faults) {
  const where = `${document.name} ${at || 'as a whole'}`;
  test(`refused: ${where} = ${JSON.stringify(value) ?? 'nothing'}`, () => {
    assert.throws(() => reader(document)(put(document(), at, value)), { code: 'TUF_FORMAT', message: says });
  });
}

for (const [target, says] of [
  [null, /a target has no length/],
  [{ hashes: { sha256: 'ab' } }, /a target has no length/],
  [{ length: -1, hashes: { sha256: 'ab' } }, /a target has no length/],
  [{ length: 1 }, /hashes is no object/],
  [{ length: 1, hashes: [] }, /hashes is no object/],
  [{ length: 1, hashes: {} }, /hashes is empty/],
  [{ length: 1, hashes: { sha256: null } }, /a hash is no text/],
] as const)
  test(`refused: a target ${JSON.stringify(target)}`, () => {
    assert.throws(
      () => readTargets({ ...targets(), targets: { fine: { length: 1, hashes: { a: '' } }, bad: target } }),
      {
        code: 'TUF_FORMAT',
        message: says,
      },
    );
  });

const signed = '"signed":{"_type":"root"}';
const open = (text: string) => openMetadata(Buffer.from(text, 'latin1'), 'root');

test('the outer layer holds a list of signatures and what they sign, however it is laid out', () => {
  for (const text of [
    `{"signatures":[{"keyid":"a","sig":"00"}],${signed}}`,
    `{ ${signed}, "signatures": [ {"sig":"00","keyid":"a","more":1} ], "more": 2 }`,
  ]) {
    const { signatures, signedBytes, signed: value } = open(text);
    assert.deepEqual(signatures, [{ keyid: 'a', sig: '00' }]);
    assert.equal(Buffer.from(signedBytes).toString(), '{"_type":"root"}');
    assert.deepEqual(value(), { _type: 'root' });
    assert.equal(value(), value());
  }
});

test('of a key that stands twice the last counts, for what is read and for what is signed', () => {
  const { signedBytes, signed: value } = open(`{"signatures":[],${signed},"signed":{"a":1}}`);
  assert.equal(Buffer.from(signedBytes).toString(), '{"a":1}');
  assert.deepEqual(value(), { a: 1 });
});

for (const [text, says] of [
  ['', /./],
  ['[]', /no signed or no signatures/],
  ['null', /no signed or no signatures/],
  ['"signed"', /no signed or no signatures/],
  ['{"signatures":[]}', /no signed or no signatures/],
  [`{${signed}}`, /no signed or no signatures/],
  [`{"signatures":{},${signed}}`, /signatures is no list/],
  [`{"signatures":["a"],${signed}}`, /no keyid or no sig/],
  [`{"signatures":[null],${signed}}`, /no keyid or no sig/],
  [`{"signatures":[{"keyid":1,"sig":"00"}],${signed}}`, /no keyid or no sig/],
  [`{"signatures":[{"keyid":"a"}],${signed}}`, /no keyid or no sig/],
  [`{"signatures":[{"keyid":"a","sig":"00"},{"keyid":"a","sig":"01"}],${signed}}`, /two signatures have the key id a/],
  [`{"signatures":[{"keyid":"\xff","sig":"00"}],${signed}}`, /./],
] as const)
  test(`refused: the outer layer ${JSON.stringify(text)}`, () => {
    assert.throws(() => open(text), { code: 'TUF_FORMAT', message: says });
  });

test('bytes are held to their length and to every hash that is listed', () => {
  const bytes = Buffer.from('abc');
  const hash = (kind: string): string => createHash(kind).update(bytes).digest('hex');
  const hashes = { sha256: hash('sha256'), sha384: hash('sha384'), sha512: hash('sha512') };
  checkBytes(bytes, {}, 'x');
  checkBytes(bytes, { length: 3, hashes }, 'x');
  const refused = (meta: Parameters<typeof checkBytes>[1], message: RegExp): void =>
    assert.throws(() => checkBytes(bytes, meta, 'x'), { code: 'TUF_HASH', message });
  refused({ length: 2 }, /has 3 bytes, expected are 2/);
  refused({ length: 4, hashes }, /has 3 bytes, expected are 4/);
  for (const kind of Object.keys(hashes))
    refused({ hashes: { ...hashes, [kind]: hash('md5') } }, new RegExp(`has ${kind} `));
  refused({ hashes: { ...hashes, sha256: hashes.sha256.toUpperCase() } }, /has sha256 /);
  refused({ hashes: { ...hashes, md5: hash('md5') } }, /unknown kind md5/);
  refused({ hashes: {} }, /has no hash/);
});

test('expiry: only a UTC time counts, and at its instant it is over', () => {
  for (const text of ['2027-01-01T00:00:00Z', '2028-02-29T23:59:59.5Z']) assert.ok(parseTime(text), text);
  for (const text of [
    '2027-01-01',
    '2027-01-01T00:00:00',
    '2027-01-01T00:00:00+01:00',
    '2027-02-29T00:00:00Z',
    '2027-01-01T24:00:00Z',
    '2027-13-01T00:00:00Z',
    ' 2027-01-01T00:00:00Z',
  ])
    assert.equal(parseTime(text), undefined, text);
  const at = (expires: string, now: Date) => () => checkExpiry({ expires }, now, 'root 1');
  at('2027-01-01T00:00:00Z', new Date('2026-12-31T23:59:59.999Z'))();
  const over = { code: 'TUF_EXPIRED' };
  assert.throws(at('2027-01-01T00:00:00Z', new Date('2027-01-01T00:00:00Z')), over);
  assert.throws(at('never', new Date('2026-01-01T00:00:00Z')), over);
  assert.throws(at('2027-01-01T00:00:00Z', new Date(NaN)), over);
});
