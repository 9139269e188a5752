/** Plays the vendor in the demo: three people, their keys, the repository with its server, and releases. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from './device.ts';
import type { Stage } from './stage.ts';

const fast = '--insecure-fast-scrypt-for-demo';
const components = ['instrument-runtime', 'remote-support', 'notification-client', 'diagnostics'];
const people = ['alice', 'bob', 'carol'];
const keysOf = (role: string, of: readonly string[]): string[] => of.map((person) => `${person}-${role}`);

/** Instruments that hold personal health information: remote file transfer is not available on them. */
const phiModels = ['Navios', 'Navios EX', 'DxFLEX', 'AQUIOS CL', 'CellMek SPS', 'Data Innovations Instrument Manager'];

export class Vendor {
  readonly #stage: Stage;
  url = '';
  #timestampUrl = '';

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async startAuthority(): Promise<void> {
    const stage = this.#stage;
    stage.show('node', ['demo/authority.ts', '--dir', stage.path('authority')]);
    this.#timestampUrl = await stage.start(
      'authority',
      [join(import.meta.dirname, 'authority.ts'), '--dir', stage.path('authority')],
      (line) => (JSON.parse(line) as { timestampUrl?: string }).timestampUrl,
    );
  }

  /** Keys, roles, server, and the first, empty publication. */
  async makeRepository(): Promise<void> {
    const stage = this.#stage;
    stage.heading('Vendor: three people make keys; two of them sign each change');
    mkdirSync(stage.path('secrets'), { mode: 0o700 });
    this.#write('secrets/passphrase', 'a passphrase of the demo\n');
    const onlineKeys = stage.path('online-keys.json');
    await stage.run('countersign-server', ['init', '--dir', stage.path('repository'), '--online-keys', onlineKeys]);
    const roles = {
      root: keysOf('root', people),
      targets: keysOf('targets', people),
      authority: keysOf('authority', people.slice(0, 2)),
      revocations: keysOf('revocations', ['carol']),
      channels: keysOf('channels', people.slice(0, 2)),
    };
    const others = [...keysOf('components', people.slice(0, 2)), ...keysOf('chains', people)];
    await this.#sign([
      'key',
      'generate',
      ...Object.values(roles).flat(),
      ...others,
      '--type',
      'ed25519',
      ...this.#secret,
      fast,
    ]);
    this.#writeDrafts();
    await this.#sign([
      'init',
      ...['--online-keys', onlineKeys, '--codesign', stage.path('drafts', 'codesign.json')],
      ...['--devices', stage.path('drafts', 'devices.json')],
      ...Object.entries(roles).flatMap(([role, keys]) => [`--${role}`, ...keys]),
    ]);
    const ofComponents = components.map((component) => `component-${component}`);
    await this.#sign(['role', 'delegate', ...ofComponents, '--role-key', ...keysOf('components', people.slice(0, 2))]);
    // The authorities first: the role that carries them lists the signed file.
    await this.#sign(['change', 'sign', '--key', ...keysOf('chains', people.slice(0, 2)), ...this.#secret]);
    const all = (person: string): string[] =>
      ['root', 'targets', 'authority', 'channels', 'components'].map((role) => `${person}-${role}`);
    await this.#sign(['change', 'sign', '--key', ...all('alice'), ...this.#secret]);
    await this.#sign(['change', 'sign', '--key', ...all('bob'), 'carol-revocations', ...this.#secret]);
    const added = await stage.ask<{ apiKey: string }>('countersign-server', [
      ...['publisher', 'add', 'release-team', '--dir', stage.path('repository')],
    ]);
    this.#write('secrets/api-key', `${added.apiKey}\n`);
    const shipped = (name: string): string => stage.path('signer', 'package', name);
    this.url = await stage.startProgram(
      'server',
      'countersign-server',
      [
        ...['serve', '--dir', stage.path('repository'), '--port', '0', '--root', shipped('root.json')],
        ...['--codesign', shipped('codesign.jsonl'), '--devices', shipped('devices.jsonl'), '--json'],
      ],
      (line) => (line.startsWith('{') ? (JSON.parse(line) as { serving?: string }).serving : undefined),
    );
    await this.#publish();
  }

  /** Packs components and signs their code, several at a time. `NAME` alone means its only version. */
  async pack(names: readonly string[]): Promise<void> {
    const stage = this.#stage;
    await Promise.all(
      names.map(async (name) => {
        const [component, version = process.versions.node] = name.split('@') as [string, string | undefined];
        await this.#sign(['pack', stage.path('components', component, version)]);
        await this.#sign([
          ...['sign', `${component}@${version}`, '--certificate', stage.path('authority', 'code-signing.pem')],
          ...['--private-key', stage.path('authority', 'code-signing-key.pem'), '--timestamp-url', this.#timestampUrl],
        ]);
      }),
    );
  }

  /** Adds and offers packed releases, has both persons sign (here in one command), and publishes. */
  async release(names: readonly string[]): Promise<void> {
    for (const command of this.#releaseCommands(names)) await this.#sign(command);
  }

  /** Shows what `release` would type. */
  showRelease(names: readonly string[]): void {
    for (const command of this.#releaseCommands(names)) this.#stage.show('countersign', this.#inWorkspace(command));
  }

  #releaseCommands(names: readonly string[]): string[][] {
    const releases = names.map((name) => (name.includes('@') ? name : `${name}@${process.versions.node}`));
    const keys = people.slice(0, 2).flatMap((person) => [`${person}-components`, `${person}-channels`]);
    return [
      ['release', 'add', ...releases],
      ['channel', 'offer', ...releases],
      ['change', 'sign', '--key', ...keys, ...this.#secret],
      this.#publication,
    ];
  }

  async revoke(release: string): Promise<void> {
    await this.#sign(['revoke', 'release', release, '--reason', 'it sends pictures of the screen too often']);
    await this.#sign(['change', 'sign', '--key', 'carol-revocations', ...this.#secret]);
    await this.#publish();
  }

  async verify(): Promise<void> {
    await this.#sign(['verify', this.url]);
  }

  async sayWhatNext(devices: readonly Device[]): Promise<void> {
    const stage = this.#stage;
    stage.heading('From here on both devices poll by themselves');
    for (const device of devices) await device.startService();
    stage.heading('The server and both devices are running. Things to try, in another terminal:');
    const [first] = devices;
    stage.show('countersign-device', ['status', '--dir', first!.folder]);
    stage.show('countersign-device', ['capability', 'revoke', 'remote-support', 'screen-view', '--dir', first!.folder]);
    stage.show('countersign-device', ['history', '--dir', first!.folder]);
    stage.show('countersign', ['status', '--workspace', stage.path('signer')]);
    stage.show('countersign', ['verify', this.url, '--workspace', stage.path('signer')]);
    stage.show('countersign-server', ['doctor', '--dir', stage.path('repository')]);
    stage.say(`\nEverything is in ${stage.directory}. Passwords and passphrases are in its folder secrets.`);
    stage.say('End the demo with Ctrl-C.');
  }

  async #publish(): Promise<void> {
    await this.#sign(this.#publication);
  }

  get #publication(): string[] {
    return ['publish', '--to', this.url, '--api-key-file', this.#stage.path('secrets', 'api-key')];
  }

  #sign<T>(args: readonly string[]): Promise<T> {
    return this.#stage.ask<T>('countersign', this.#inWorkspace(args));
  }

  #inWorkspace = (args: readonly string[]): string[] => [...args, '--workspace', this.#stage.path('signer')];

  get #secret(): string[] {
    return ['--passphrase-file', this.#stage.path('secrets', 'passphrase')];
  }

  /** Writes what a release team writes by hand: who may sign code, and what devices may be offered. */
  #writeDrafts(): void {
    mkdirSync(this.#stage.path('drafts'));
    const signers = { keys: keysOf('chains', people), threshold: 2 };
    const person = (name: string, roles: readonly string[], identities: readonly string[] = []) => ({
      name,
      keys: roles,
      identities,
    });
    this.#write('drafts/codesign.json', {
      signers,
      authorities: {
        'stand-in': {
          kind: 'x509',
          trustedRoot: {
            codeSigning: '../authority/code-signing-ca.pem',
            timeStamping: '../authority/time-stamping.pem',
          },
        },
      },
      identities: {
        vendor: { type: 'x509', authority: 'stand-in', certificate: '../authority/code-signing.pem' },
      },
      persons: {
        alice: person('Alice Archer', ['alice-components']),
        bob: person('Bob Baker', ['bob-components']),
        carol: person('Carol Carter', [], ['vendor']),
      },
      components: { '*': [{ role: 'vendor', identities: ['vendor'], threshold: 1 }] },
    });
    const allowed = (capability: string) => ({ component: 'remote-support', capability, contract: 1 });
    this.#write('drafts/devices.json', {
      signers,
      models: {
        'Demo Analyser': { phi: false },
        ...Object.fromEntries(phiModels.map((model) => [model, { phi: true }])),
      },
      phiAllowed: [allowed('screen-view'), allowed('remote-control')],
      denied: [],
      approvers: { standard: 1, high: 1, phi: 2 },
      regions: { global: { hosts: ['127.0.0.1'] } },
    });
    this.#stage.say(`  (drafts of both authorities: ${this.#stage.path('drafts')})`);
  }

  #write(name: string, content: string | object): void {
    const text = typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`;
    writeFileSync(this.#stage.path(...name.split('/')), text, { mode: 0o600 });
  }
}
