/**
 * Alice and Bob release the component `app`: a workspace and key folder each, two signatures for every role, one server. Tests
 * run the real programs in a scratch folder; their starting state is made by the same commands inside the test's process.
 */
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startServer, type RunningServer } from '@countersign/repo-server';
import { makeOnlineKeys, publicOnlineKeys } from '../../packages/repo-server/src/online-keys.ts';
import { PublisherList } from '../../packages/repo-server/src/publishers.ts';
import { startServerProgram, type ServerProgram } from './server-program.ts';
import { SignerProgram } from './signer-program.ts';

export const passphrase = 'seven otters juggle turnips';
const fastScrypt = '--insecure-fast-scrypt-for-demo';
const roles = ['root', 'targets', 'authority', 'revocations', 'channels'];

export class ReleaseTeam {
  readonly folder: string;
  readonly alice: SignerProgram;
  readonly bob: SignerProgram;
  url = '';
  server: ServerProgram | undefined;

  constructor(folder: string) {
    this.folder = folder;
    this.alice = new SignerProgram(this.path('alice'));
    this.bob = new SignerProgram(this.path('bob'));
  }

  path = (...names: string[]): string => join(this.folder, ...names);

  get secret(): string[] {
    return ['--passphrase-file', this.path('passphrase')];
  }

  get publish(): string[] {
    return ['publish', '--to', this.url, '--api-key-file', this.path('api-key')];
  }

  /** The paths of the server's files, in the form for starting it. */
  get #serverFolder() {
    const shipped = (name: string): string => join(this.alice.workspace, 'package', name);
    return {
      directory: this.path('repository'),
      apiKey: '',
      shipped: { root: shipped('root.json'), codesign: shipped('codesign.jsonl'), devices: shipped('devices.jsonl') },
    };
  }

  /** Starts the server's program; it ends with the test. */
  async serve(t: TestContext): Promise<void> {
    const server = await startServerProgram(this.#serverFolder);
    this.server = server;
    this.url = server.url;
    t.after(async () => {
      server.process.kill('SIGKILL');
      await server.ended;
    });
  }

  /** A server inside this process; it ends with the test. */
  async serveHere(t?: TestContext): Promise<RunningServer> {
    const { directory, shipped } = this.#serverFolder;
    const server = await startServer({ directory, ...shipped, host: '127.0.0.1', port: 0, logger: false });
    this.url = server.url;
    t?.after(() => server.close());
    return server;
  }

  /** Keys of both with their public halves exchanged, drafts, and a server's folder; no workspace yet. */
  async makeKeys(): Promise<void> {
    writeFileSync(this.path('passphrase'), `${passphrase}\n`);
    const generate = (...words: string[]): string[] => ['key', 'generate', ...words, ...this.secret, fastScrypt];
    await this.alice.quick(...generate('alice', 'alice-chain', '--type', 'ed25519'));
    await this.alice.quick(...generate('code', '--type', 'ecdsa'));
    await this.bob.quick(...generate('bob', 'bob-chain', '--type', 'ed25519'));
    for (const [from, to] of [
      ['alice', 'bob'],
      ['bob', 'alice'],
    ] as const)
      cpSync(this.path(from, 'keys'), this.path(to, 'keys'), {
        recursive: true,
        filter: (file) => !file.endsWith('.age'),
      });
    const state = this.path('repository', 'server');
    mkdirSync(state, { recursive: true });
    writeFileSync(this.path('online-keys.json'), JSON.stringify(publicOnlineKeys(makeOnlineKeys(state))));
    writeFileSync(this.path('api-key'), `${new PublisherList(state).add('release-team', new Date())}\n`);
    this.writeDraft('codesign', {});
    this.writeDraft('devices', {});
  }

  get initWords(): string[] {
    return [
      'init',
      ...['--online-keys', this.path('online-keys.json'), '--codesign', this.path('codesign.json')],
      ...['--devices', this.path('devices.json'), '--revocations-threshold', '2'],
      ...roles.flatMap((role) => [`--${role}`, 'alice', 'bob']),
    ];
  }

  readonly delegateWords: readonly string[] = ['role', 'delegate', 'component-app', '--role-key', 'alice', 'bob'];

  /** Alice's workspace with the first change, unsigned. */
  async init(): Promise<void> {
    await this.alice.quick(...this.initWords);
    await this.alice.quick(...this.delegateWords);
  }

  /** Signs with the keys of both, for tests in which it does not matter who signs where. */
  get bothSign(): string[] {
    const keys = ['alice', 'bob'].flatMap((who) => [who, `${who}-chain`].map((key) => this.path(who, 'keys', key)));
    return ['change', 'sign', '--key', ...keys, ...this.secret];
  }

  /** One person signs. */
  signAs = (who: 'alice' | 'bob'): string[] => ['change', 'sign', '--key', who, `${who}-chain`, ...this.secret];

  /** A component folder with a payload that cannot be compressed. */
  writeComponent(version: string, payloadBytes = 64, capabilities: readonly string[] = []): string {
    const folder = this.path('components', version);
    mkdirSync(join(folder, 'base'), { recursive: true });
    const manifest = {
      ...{ name: 'app', version, platform: 'any', title: { en: 'App' }, requires: {}, models: ['*'] },
      capabilities: capabilities.map((id) => ({
        ...{ id, contract: 1, risk: 'high', required: false, scope: {} },
        ...{ title: { en: `title of ${id}` }, description: { en: id } },
      })),
      ...{ hooks: {}, rollback: 'safe' },
    };
    writeFileSync(join(folder, 'component.json'), JSON.stringify(manifest));
    writeFileSync(join(folder, 'notes.en.md'), `App ${version}\n`);
    writeFileSync(join(folder, 'base', 'version.txt'), version);
    writeFileSync(join(folder, 'base', 'payload.bin'), randomBytes(payloadBytes));
    return folder;
  }

  /** Packs and code-signs a version in Alice's workspace. */
  async pack(version: string, payloadBytes?: number, capabilities?: readonly string[]): Promise<void> {
    await this.alice.quick('pack', this.writeComponent(version, payloadBytes, capabilities));
    await this.alice.quick('sign', `app@${version}`, '--key', 'code', ...this.secret);
  }

  /** Adds and offers a packed version in Alice's workspace. */
  async offer(version: string): Promise<void> {
    await this.alice.quick('release', 'add', `app@${version}`);
    await this.alice.quick('channel', 'offer', `app@${version}`);
  }

  /** The draft with some members replaced. */
  writeDraft(kind: 'codesign' | 'devices', changes: object): string {
    const person = (name: string, keys: string[], identities: string[] = []) => ({ name, keys, identities });
    const signers = { keys: ['alice-chain', 'bob-chain'], threshold: 2 };
    const codesign = {
      signers,
      authorities: {},
      identities: { vendor: { type: 'key', publicKey: 'code' } },
      persons: {
        alice: person('Alice', ['alice']),
        bob: person('Bob', ['bob']),
        carol: person('Carol', [], ['vendor']),
      },
      components: { '*': [{ role: 'vendor', identities: ['vendor'], threshold: 1 }] },
    };
    const devices = {
      ...{ signers, models: { 'Cytometer 5': { phi: false } }, phiAllowed: [], denied: [] },
      ...{ approvers: { standard: 1, high: 1, phi: 2 }, regions: { global: { hosts: ['127.0.0.1'] } } },
    };
    const file = this.path(`${kind}.json`);
    writeFileSync(file, JSON.stringify({ ...(kind === 'codesign' ? codesign : devices), ...changes }));
    return file;
  }

  /** A copy of everything, gone with the test; its server is not running. */
  copy(t: TestContext): ReleaseTeam {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-team-'));
    cpSync(this.folder, folder, { recursive: true });
    const copy = new ReleaseTeam(folder);
    t.after(() => copy.remove());
    return copy;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Keys and drafts in a new folder. */
export async function newTeam(): Promise<ReleaseTeam> {
  const team = new ReleaseTeam(mkdtempSync(join(tmpdir(), 'countersign-team-')));
  await team.makeKeys();
  return team;
}

/** A team that has published and offers 1.0.0; Bob has no workspace yet. */
export async function publishedTeam(): Promise<ReleaseTeam> {
  const team = await newTeam();
  await team.init();
  await team.alice.quick(...team.bothSign);
  await team.pack('1.0.0');
  await team.offer('1.0.0');
  await team.alice.quick(...team.bothSign);
  const server = await team.serveHere();
  await team.alice.quick(...team.publish);
  await server.close();
  return team;
}
