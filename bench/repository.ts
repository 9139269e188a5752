/** Makes repositories of any size for the benchmarks: valid TUF metadata in the wire form that our publisher writes. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalBytes, canonicalOlpc, keyIdOf, sha256, type PublicKey } from '@countersign/protocol';

interface Key {
  readonly id: string;
  readonly key: PublicKey;
  readonly secret: KeyObject;
}

const expires = '2036-01-01T00:00:00Z';

function newKey(): Key {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: PublicKey = {
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: pair.publicKey.export({ type: 'spki', format: 'pem' }) },
  };
  return { id: keyIdOf(key), key, secret: pair.privateKey };
}

const envelope = (signed: object, key: Key): Buffer => {
  const sig = sign('sha256', canonicalOlpc(signed), key.secret).toString('hex');
  return canonicalBytes({ signatures: [{ keyid: key.id, sig }], signed });
};

export interface GeneratedRepository {
  readonly root: Buffer;
  /** The path of a target that exists. */
  readonly target: string;
  /** Every metadata file by name. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/** `count` targets in the top-level role, or spread over 2^`bits` succinct bins. */
export function generateRepository(count: number, bits = 0): GeneratedRepository {
  const [rootKey, targetsKey, snapshotKey, timestampKey, binKey] = [newKey(), newKey(), newKey(), newKey(), newKey()];
  const head = (type: string) => ({ _type: type, spec_version: '1.0.34', version: 1, expires });
  const role = (key: Key) => ({ keyids: [key.id], threshold: 1 });
  const root = envelope(
    {
      ...head('root'),
      consistent_snapshot: true,
      keys: Object.fromEntries([rootKey, targetsKey, snapshotKey, timestampKey].map(({ id, key }) => [id, key])),
      roles: {
        root: role(rootKey),
        targets: role(targetsKey),
        snapshot: role(snapshotKey),
        timestamp: role(timestampKey),
      },
    },
    rootKey,
  );
  const files = new Map<string, Buffer>([['1.root.json', root]]);
  const meta: Record<string, object> = {};
  const add = (name: string, bytes: Buffer): void => {
    files.set(`1.${name}.json`, bytes);
    meta[`${name}.json`] = { version: 1, length: bytes.length, hashes: { sha256: sha256(bytes) } };
  };
  const nameOf = (index: number): string => `components/part-${index % 500}/1.0.${index}/linux-x64.base.tar.zst`;
  const bins: Record<string, object>[] = Array.from({ length: 2 ** bits }, () => ({}));
  for (let index = 0; index < count; index++) {
    const name = nameOf(index);
    const bin = bits === 0 ? 0 : parseInt(sha256(name).slice(0, 8), 16) >>> (32 - bits);
    bins[bin]![name] = { length: 1000 + index, hashes: { sha256: sha256(`content ${index}`) } };
  }
  if (bits === 0) add('targets', envelope({ ...head('targets'), targets: bins[0]! }, targetsKey));
  else {
    const digits = (2 ** bits - 1).toString(16).length;
    bins.forEach((targets, index) =>
      add(`bin-${index.toString(16).padStart(digits, '0')}`, envelope({ ...head('targets'), targets }, binKey)),
    );
    const succinct = { keyids: [binKey.id], threshold: 1, bit_length: bits, name_prefix: 'bin' };
    add(
      'targets',
      envelope(
        {
          ...head('targets'),
          targets: {},
          delegations: { keys: { [binKey.id]: binKey.key }, succinct_roles: succinct },
        },
        targetsKey,
      ),
    );
  }
  const snapshot = envelope({ ...head('snapshot'), meta }, snapshotKey);
  files.set('1.snapshot.json', snapshot);
  const described = { version: 1, length: snapshot.length, hashes: { sha256: sha256(snapshot) } };
  files.set('timestamp.json', envelope({ ...head('timestamp'), meta: { 'snapshot.json': described } }, timestampKey));
  return { root, target: nameOf(count >> 1), files };
}

/** Writes the metadata where a server or tuf-js can read it. */
export function writeRepository(directory: string, repository: GeneratedRepository): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, bytes] of repository.files) writeFileSync(join(directory, name), bytes);
}
