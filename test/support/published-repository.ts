/**
 * A complete signed repository, made in memory with its own keys: TUF metadata, authority chains, revocations, a channel and
 * releases. It writes whatever it is told, right or wrong: `bend` changes a role before it is signed, `signers` removes keys,
 * `files` can be edited after publishing. `serve` puts it behind a real socket.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import {
  canonicalBytes,
  channelPath,
  channelType,
  codesignPayloadType,
  codesignType,
  devicesPayloadType,
  devicesType,
  keyIdOf,
  keyMaterial,
  revocationsPath,
  noRevocations,
  serialize,
  sha256,
  signedBytes,
  type Channel,
  type CodesignAuthority,
  type DevicesAuthority,
  type Offer,
  type Revocations,
} from '@countersign/protocol';
import { dumpWhenTestFails } from './repository-dump.ts';
import { makeRelease, type ReleaseFiles, type ReleaseOptions } from './release-files.ts';
import { chainLine, ed25519Key, p256Key, type TestKey } from './signing-keys.ts';

type Signed = Record<string, unknown> & { version: number; expires: string };
/** Changes a role's `signed` part before it is signed. */
export type Bend = (signed: Signed) => void;

const day = 24 * 3600_000;
const lifetimes: Record<string, number> = { timestamp: 1, snapshot: 7, revocations: 30, channels: 90 };
const second = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

export interface RepositoryOptions {
  /** The time at which everything is signed. */
  readonly time?: string;
  /** Alters the first version of the code-signing authority. */
  readonly codesign?: (body: CodesignAuthority) => void;
  readonly devices?: (body: DevicesAuthority) => void;
}

export class PublishedRepository {
  /** What the server has: `metadata/5.snapshot.json`, `targets/channels/<sha256>.stable.json`. */
  readonly files = new Map<string, Buffer>();
  /** By role name; most roles have two, so that one is below the threshold. */
  readonly keys = new Map<string, TestKey[]>();
  /** Keys that sign the next version of a chain. */
  readonly chainKeys: Record<'codesign' | 'devices', TestKey[]>;
  /** Pinned code signers: `build` by Alice and `release` by Bob. */
  readonly codeSigners = { build: p256Key(), release: p256Key() };
  /** The keys that sign a role instead of all its keys. */
  readonly signers = new Map<string, TestKey[]>();
  readonly bends = new Map<string, Bend>();
  readonly versions = new Map<string, number>();
  readonly releases = new Map<string, ReleaseFiles>();
  readonly chains: Record<'codesign' | 'devices', string>;
  /** What comes with a device. */
  readonly shipped: { readonly root: Buffer; readonly codesign: Buffer; readonly devices: Buffer };
  codesign: CodesignAuthority;
  devices: DevicesAuthority;
  channel: Channel = { _type: channelType, channel: 'stable', offers: [], blocked: [] };
  revocations: Revocations = { ...noRevocations };
  time: Date;
  #written = new Map<string, { digest: string; meta: object }>();

  constructor(options: RepositoryOptions = {}) {
    this.time = new Date(options.time ?? '2026-11-23T10:00:00Z');
    for (const role of ['root', 'targets', 'authority', 'channels']) this.keys.set(role, [ed25519Key(), ed25519Key()]);
    for (const role of ['revocations', 'snapshot', 'timestamp']) this.keys.set(role, [ed25519Key()]);
    this.chainKeys = { codesign: [ed25519Key(), ed25519Key()], devices: [ed25519Key(), ed25519Key()] };
    this.codesign = this.#firstCodesign();
    this.devices = this.#firstDevices();
    options.codesign?.(this.codesign);
    options.devices?.(this.devices);
    this.chains = { codesign: '', devices: '' };
    this.extendChain('codesign');
    this.extendChain('devices');
    this.#writeRoot();
    this.shipped = {
      root: this.files.get('metadata/1.root.json')!,
      codesign: Buffer.from(this.chains.codesign),
      devices: Buffer.from(this.chains.devices),
    };
    const { root, codesign, devices } = this.shipped;
    dumpWhenTestFails(() => [
      ...this.files,
      ['package/root.json', root],
      ['package/codesign.jsonl', codesign],
      ['package/devices.jsonl', devices],
    ]);
  }

  /** Adds the next line to a chain, signed by the keys of the line before; `publish` puts it out. */
  extendChain(kind: 'codesign' | 'devices', signers = this.chainKeys[kind]): void {
    const body = this[kind];
    if (this.chains[kind] !== '') body.version++;
    const type = kind === 'codesign' ? codesignPayloadType : devicesPayloadType;
    this.chains[kind] += chainLine(type, body, signers);
  }

  /** Makes a release, with its component's role and persons when they are new. Both persons sign the role, Alice the code. */
  addRelease(options: ReleaseOptions, signers: readonly TestKey[] = [this.codeSigners.build]): ReleaseFiles {
    const role = `component-${options.name}`;
    if (!this.keys.has(role)) {
      const [alice, bob] = this.personKeys(options.name);
      this.keys.set(role, [alice!, bob!]);
    }
    const made = makeRelease(options, signers);
    this.releases.set(`${options.name} ${options.version} ${made.manifest.platform}`, made);
    return made;
  }

  /** Offers a release to every device at once, by default. */
  offer(release: ReleaseFiles, change: Partial<Offer> = {}): Offer {
    const { name, version, platform, models } = release.manifest;
    const offer: Offer = {
      component: name,
      version,
      platform,
      models,
      release: release.release,
      urgency: 'routine',
      rollout: { start: second(new Date(this.time.getTime() - day)), stages: [{ hours: 0, percent: 100 }] },
      ...change,
    };
    this.channel.offers = [...this.channel.offers, offer];
    return offer;
  }

  /** Component keys of Alice and Bob; known to the code-signing authority from the start. */
  personKeys(component: string): TestKey[] {
    return this.#personKeys.get(component) ?? this.#personKeys.get('*')!;
  }
  #personKeys = new Map<string, TestKey[]>([['*', [ed25519Key(), ed25519Key()]]]);

  /** The name of a code signer's key in revocations. */
  readonly spkiOf = (key: TestKey): string => keyMaterial(key.key)!;

  /** Writes every role that changed, then snapshot and timestamp. */
  publish(): this {
    this.#publishTargets('authority', [
      ['authority/codesign.jsonl', Buffer.from(this.chains.codesign)],
      ['authority/devices.jsonl', Buffer.from(this.chains.devices)],
    ]);
    this.#publishTargets('revocations', [[revocationsPath, canonicalBytes(this.revocations)]]);
    this.#publishTargets('channels', [[channelPath(this.channel.channel), canonicalBytes(this.channel)]]);
    for (const role of this.keys.keys()) {
      if (!role.startsWith('component-')) continue;
      const own = [...this.releases.values()].filter(({ manifest }) => `component-${manifest.name}` === role);
      this.#publishTargets(
        role,
        own.flatMap(({ files }) => [...files]),
      );
    }
    this.#writeRole('targets', { targets: {}, delegations: this.#delegations() });
    const meta = [...this.#written].filter(([role]) => role !== 'root' && role !== 'snapshot' && role !== 'timestamp');
    this.#writeRole('snapshot', { meta: Object.fromEntries(meta.map(([role, { meta }]) => [`${role}.json`, meta])) });
    this.#written.delete('timestamp');
    this.#writeRole('timestamp', {
      meta: { 'snapshot.json': this.#written.get('snapshot')!.meta },
      'x-countersign-issued': second(this.time),
    });
    return this;
  }

  /** The next root, signed by the keys before and those that `keys` has now. */
  rotateRoot(change: () => void): this {
    const before = this.keys.get('root')!;
    change();
    const after = this.keys.get('root')!;
    this.#writeRoot([...new Set([...before, ...after])]);
    return this;
  }

  /** Sets the time for everything signed from now on. */
  setTime(text: string): this {
    this.time = new Date(text);
    return this;
  }

  /** Signs a role again although nothing changed in it. */
  renew(role: string): this {
    this.#written.delete(role);
    return this;
  }

  #publishTargets(role: string, entries: [string, Buffer][]): void {
    const targets: Record<string, object> = {};
    for (const [path, bytes] of entries) {
      const digest = sha256(bytes);
      targets[path] = { length: bytes.length, hashes: { sha256: digest } };
      const cut = path.lastIndexOf('/') + 1;
      this.files.set(`targets/${path.slice(0, cut)}${digest}.${path.slice(cut)}`, bytes);
    }
    this.#writeRole(role, { targets });
  }

  #writeRole(role: string, content: object): void {
    const type = ['snapshot', 'timestamp'].includes(role) ? role : 'targets';
    const digest = sha256(
      JSON.stringify([
        content,
        this.bends.get(role)?.toString() ?? '',
        this.signers.get(role)?.map(({ id }) => id) ?? '',
      ]),
    );
    if (this.#written.get(role)?.digest === digest) return;
    const version = (this.versions.get(role) ?? 0) + 1;
    this.versions.set(role, version);
    const signed: Signed = { _type: type, spec_version: '1.0.34', version, expires: this.#expiry(role), ...content };
    const bytes = this.#sign(role, signed);
    this.files.set(`metadata/${role === 'timestamp' ? '' : `${version}.`}${role}.json`, bytes);
    this.#written.set(role, {
      digest,
      meta: { version: signed.version, length: bytes.length, hashes: { sha256: sha256(bytes) } },
    });
  }

  #writeRoot(signers = this.keys.get('root')!): void {
    const version = (this.versions.get('root') ?? 0) + 1;
    this.versions.set('root', version);
    const roles = ['root', 'timestamp', 'snapshot', 'targets'] as const;
    const signed: Signed = {
      _type: 'root',
      spec_version: '1.0.34',
      version,
      expires: this.#expiry('root'),
      consistent_snapshot: true,
      keys: this.#publicKeys(roles),
      roles: Object.fromEntries(roles.map((role) => [role, this.#row(role)])),
    };
    this.files.set(`metadata/${version}.root.json`, this.#sign('root', signed, signers));
  }

  #sign(role: string, signed: Signed, signers = this.keys.get(role)!): Buffer {
    this.bends.get(role)?.(signed);
    const bytes = signedBytes(signed);
    const by = this.signers.get(role) ?? signers;
    return serialize(
      signed,
      by.map((key) => ({ keyid: key.id, sig: key.sign(bytes).toString('hex') })),
    );
  }

  #expiry = (role: string): string => second(new Date(this.time.getTime() + (lifetimes[role] ?? 365) * day));

  #row = (role: string) => ({
    keyids: this.keys.get(role)!.map(({ id }) => id),
    threshold: this.keys.get(role)!.length,
  });

  #publicKeys = (roles: readonly string[]) =>
    Object.fromEntries(roles.flatMap((role) => this.keys.get(role)!.map(({ id, key }) => [id, key])));

  #delegations() {
    const roles = [...this.keys.keys()].filter((role) => !['root', 'timestamp', 'snapshot', 'targets'].includes(role));
    const paths = (role: string): string =>
      role.startsWith('component-') ? `components/${role.slice(10)}/*/*` : `${role}/*`;
    return {
      keys: this.#publicKeys(roles),
      roles: roles.map((name) => ({ name, ...this.#row(name), terminating: true, paths: [paths(name)] })),
    };
  }

  #firstCodesign(): CodesignAuthority {
    const [alice, bob] = this.personKeys('*');
    return {
      _type: codesignType,
      version: 1,
      issued: second(this.time),
      signers: chainSigners(this.chainKeys.codesign),
      authorities: {},
      identities: {
        build: { type: 'key', publicKey: this.codeSigners.build.key },
        release: { type: 'key', publicKey: this.codeSigners.release.key },
      },
      persons: {
        alice: { name: 'Alice Archer', keys: [alice!.id], identities: ['build'] },
        bob: { name: 'Bob Baker', keys: [bob!.id], identities: ['release'] },
      },
      components: { '*': [{ role: 'build', identities: ['build', 'release'], threshold: 1 }] },
    };
  }

  #firstDevices(): DevicesAuthority {
    return {
      _type: devicesType,
      version: 1,
      issued: second(this.time),
      expires: second(new Date(this.time.getTime() + 365 * day)),
      signers: chainSigners(this.chainKeys.devices),
      models: { 'Cytometer 5': { phi: false }, Navios: { phi: true } },
      phiAllowed: [],
      denied: [],
      approvers: { standard: 1, high: 1, phi: 2 },
      regions: { global: { hosts: ['127.0.0.1'] } },
    };
  }
}

const chainSigners = (keys: readonly TestKey[]) => ({
  keys: Object.fromEntries(keys.map(({ key }) => [keyIdOf(key), key])),
  threshold: keys.length,
});

export interface RepositoryServer {
  /** Ends in a slash. */
  readonly url: string;
  /** Every request so far, as `GET /metadata/timestamp.json 304`. */
  readonly requests: string[];
  /** Answers instead of the repository; true when it did. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** Serves the repository's files over HTTP with ETag, 304, 404 and ranges, until the test ends. */
export async function serveRepository(t: TestContext, repository: PublishedRepository): Promise<RepositoryServer> {
  const requests: string[] = [];
  const served: RepositoryServer & { url: string } = { url: '', requests, intercept: () => false };
  const server = createServer((request, response) => {
    response.on('finish', () => requests.push(`${request.method!} ${request.url!} ${response.statusCode}`));
    response.setHeader('date', repository.time.toUTCString());
    if (!served.intercept(request, response)) answer(repository.files, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close().closeAllConnections());
  served.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return served;
}

function answer(files: ReadonlyMap<string, Buffer>, request: IncomingMessage, response: ServerResponse): void {
  const bytes = files.get(request.url!.slice(1));
  if (bytes === undefined) return void response.writeHead(404).end();
  const etag = `"${sha256(bytes).slice(0, 32)}"`;
  if (request.headers['if-none-match'] === etag) return void response.writeHead(304, { etag }).end();
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const same = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  if (range && same && Number(range[1]) < bytes.length) {
    const part = bytes.subarray(Number(range[1]));
    response.writeHead(206, {
      etag,
      'content-length': part.length,
      'content-range': `bytes ${range[1]!}-${bytes.length - 1}/${bytes.length}`,
    });
    response.end(part);
    return;
  }
  response.writeHead(200, { etag, 'content-length': bytes.length, 'accept-ranges': 'bytes' }).end(bytes);
}
