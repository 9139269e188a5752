/** Every file that `countersign` and the server write keeps to the forms that python-tuf, go-tuf and tuf-js all read. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { publishedTeam, type ReleaseTeam } from '../support/release-team.ts';

interface Meta {
  version: number;
  length: number;
  hashes: Record<string, string>;
}
interface Signed {
  _type: string;
  spec_version: string;
  version: number;
  expires: string;
  consistent_snapshot?: boolean;
  keys?: Record<string, Key>;
  roles?: Record<string, { keyids: string[]; threshold: number }>;
  meta?: Record<string, Meta>;
  targets?: Record<string, { length: number; hashes: Record<string, string>; custom?: unknown }>;
  delegations?: { keys: Record<string, Key>; roles: { name: string; paths: string[]; path_hash_prefixes?: unknown }[] };
}
interface Key {
  keytype: string;
  scheme: string;
  keyval: { public: string };
}

let team: ReleaseTeam;
let files: Map<string, Buffer>;
before(async () => {
  team = await publishedTeam();
  const folder = team.path('repository', 'metadata');
  files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
});
after(() => team.remove());

const signedOf = (name: string): Signed => (JSON.parse(files.get(name)!.toString('utf8')) as { signed: Signed }).signed;

/** JSON with sorted keys and no white space. */
function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${sorted(one)}`).join(',')}}`;
}

function* numbersOf(value: unknown): Generator<number> {
  if (typeof value === 'number') yield value;
  else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) yield* numbersOf(one);
}

test('every file is sorted JSON of whole numbers, with a plain name and a plain time', () => {
  assert.ok(files.size >= 8, `${files.size} files`);
  for (const [name, bytes] of files) {
    assert.match(name, /^(\d+\.[a-z][a-z0-9-]*|timestamp)\.json$/);
    const document = JSON.parse(bytes.toString('utf8')) as { signed: Signed; signatures: { keyid: string }[] };
    assert.equal(bytes.toString('utf8'), sorted(document), name);
    const { signed, signatures } = document;
    assert.match(signed.expires, /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/);
    assert.match(signed.spec_version, /^1\.0\.\d+$/);
    for (const number of numbersOf(signed)) assert.ok(Number.isSafeInteger(number), `${name} has ${number}`);
    assert.ok(signed.version >= 1);
    assert.equal(new Set(signatures.map(({ keyid }) => keyid)).size, signatures.length);
  }
});

test('keys are of kinds that all know, and each stands under one id', () => {
  const known = ['ed25519 ed25519', 'ecdsa ecdsa-sha2-nistp256', 'rsa rsassa-pss-sha256'];
  for (const name of files.keys()) {
    const { keys, delegations } = signedOf(name);
    for (const listed of [keys, delegations?.keys]) {
      const all = Object.values(listed ?? {});
      for (const { keytype, scheme } of all) assert.ok(known.includes(`${keytype} ${scheme}`), `${keytype} ${scheme}`);
      assert.equal(new Set(all.map(({ keyval }) => keyval.public)).size, all.length, name);
    }
  }
});

test('root is consistent, delegations are plain patterns, and everything listed has length and sha256', () => {
  assert.equal(signedOf('1.root.json').consistent_snapshot, true);
  let listed = 0;
  for (const name of files.keys()) {
    const { meta = {}, targets = {}, delegations } = signedOf(name);
    for (const { length, hashes } of [...Object.values(meta), ...Object.values(targets)]) {
      assert.ok(length > 0);
      assert.match(hashes.sha256!, /^[0-9a-f]{64}$/);
      listed++;
    }
    for (const path of Object.keys(targets)) assert.match(path, /^[A-Za-z0-9_-][A-Za-z0-9._/-]*$/);
    for (const role of delegations?.roles ?? []) {
      assert.equal(role.path_hash_prefixes, undefined);
      assert.match(role.name, /^[a-z]/);
      for (const pattern of role.paths) assert.match(pattern, /^[A-Za-z0-9._/*?-]+$/);
    }
  }
  assert.ok(listed > 10, `${listed} entries`);
});
