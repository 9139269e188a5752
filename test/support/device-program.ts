/** Runs the real `countersign-device` on a scratch folder, like a person on the controller PC. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import type { PublishedRepository } from './published-repository.ts';
import type { ReleaseFiles, TestArchive } from './release-files.ts';
import { makeKit, type KitOptions } from './release-kit.ts';

const program = resolve(import.meta.dirname, '../../packages/client/bin/countersign-device.js');

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The JSON object on the last line of stdout, if there is one. */
  readonly json: Record<string, unknown> & { error?: { code: string; message: string; hint: string } };
}

export class DeviceProgram {
  readonly scratch = mkdtempSync(join(tmpdir(), 'countersign-program-'));
  readonly directory = join(this.scratch, 'device');
  readonly packageFolder = join(this.scratch, 'package');
  readonly passwordFile = join(this.scratch, 'password');
  readonly decisionsFile = join(this.scratch, 'decisions.json');

  constructor({ shipped }: PublishedRepository) {
    mkdirSync(this.packageFolder);
    writeFileSync(join(this.packageFolder, 'root.json'), shipped.root);
    writeFileSync(join(this.packageFolder, 'codesign.jsonl'), shipped.codesign);
    writeFileSync(join(this.packageFolder, 'devices.jsonl'), shipped.devices);
    writeFileSync(this.passwordFile, 'correct horse battery\n');
  }

  /** One command to its end, with `--json`. */
  run(...args: string[]): Promise<Answer> {
    return finished(this.spawn(args));
  }

  /** As `run`; exits 0. */
  async ok(...args: string[]): Promise<Answer['json']> {
    const answer = await this.run(...args);
    assert.equal(answer.code, 0, `${args.join(' ')}\n${answer.stdout}${answer.stderr}`);
    return answer.json;
  }

  /** As `run`; refused with that code. */
  async refused(code: string, ...args: string[]): Promise<Answer['json']> {
    const answer = await this.run(...args);
    assert.equal(answer.json.error?.code, code, `${args.join(' ')}\n${answer.stdout}${answer.stderr}`);
    assert.equal(answer.code, code === 'USAGE' ? 2 : 1);
    return answer.json;
  }

  spawn(args: readonly string[]): ChildProcess {
    const words = [...args];
    const end = words.includes('--') ? words.indexOf('--') : words.length;
    words.splice(end, 0, '--json', '--dir', this.directory);
    return spawn(process.execPath, [program, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  init(url: string, ...more: string[]): Promise<Answer['json']> {
    const model = ['--model', 'Cytometer 5', '--serial', 'SN 1'];
    return this.ok('init', '--server', url, ...model, '--package', this.packageFolder, ...more);
  }

  /** Makes the technician `kim`, whose password is in `passwordFile`. */
  addTechnician(): Promise<Answer['json']> {
    return this.ok('account', 'add', 'kim', '--printed-name', 'Kim Example', '--password-file', this.passwordFile);
  }

  /** Approves the open plan with these capabilities on and all terms accepted. */
  async approve(...on: string[]): Promise<Answer['json']> {
    const { plan } = await this.ok('plan', '--decisions-template', this.decisionsFile);
    const answers = JSON.parse(readFileSync(this.decisionsFile, 'utf8')) as {
      decisions: { capability: string; grant: boolean }[];
      terms: { accepted: boolean }[];
    };
    for (const decision of answers.decisions) decision.grant = on.includes(decision.capability);
    for (const one of answers.terms) one.accepted = true;
    writeFileSync(this.decisionsFile, JSON.stringify(answers));
    return this.ok('approve', plan as string, '--decisions', this.decisionsFile, ...this.signature);
  }

  get signature(): string[] {
    return ['--account', 'kim', '--password-file', this.passwordFile];
  }

  /** Starts the service; ended with the test. Resolves once it has the device. */
  async serve(t: TestContext, ...args: string[]): Promise<Service> {
    const service = new Service(this.spawn(['run', '--poll-seconds', '0.5', ...args]));
    t.after(() => service.kill());
    await service.event('started');
    return service;
  }
}

/** A running `countersign-device run` and its output. */
export class Service {
  readonly events: (Record<string, unknown> & { event: string })[] = [];
  readonly child: ChildProcess;
  readonly ended: Promise<Answer>;
  #waiting: { name: string; from: number; found: () => void }[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    this.ended = finished(child);
    let rest = '';
    child.stdout!.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.events.push(JSON.parse(line) as Service['events'][number]);
      this.#waiting = this.#waiting.filter(({ name, from, found }) => {
        const seen = this.events.slice(from).some(({ event }) => event === name);
        if (seen) found();
        return !seen;
      });
    });
  }

  /** The next event of that name, from the ones after `from`. */
  async event(name: string, from = 0): Promise<void> {
    if (this.events.slice(from).some(({ event }) => event === name)) return;
    await Promise.race([
      new Promise<void>((found) => this.#waiting.push({ name, from, found })),
      this.ended.then(({ stdout, stderr }) => assert.fail(`the service ended before ${name}\n${stdout}${stderr}`)),
    ]);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Answer> {
    this.child.kill(signal);
    return this.ended;
  }
}

function finished(child: ChildProcess): Promise<Answer> {
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const last = stdout.trimEnd().split('\n').at(-1) ?? '';
      const json = last.startsWith('{') ? (JSON.parse(last) as Answer['json']) : {};
      resolve({ code: code ?? -1, stdout, stderr, json });
    });
  });
}

/** A real component: packed archives with POSIX hook scripts, in the repository but not on offer yet; `other` replaces its base. */
export async function addKit(
  repository: PublishedRepository,
  options: KitOptions,
  other?: TestArchive,
): Promise<ReleaseFiles> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-kit-'));
  const { manifest, archives } = await makeKit(folder, options);
  const archiveOf = (capability: string): { archive: TestArchive } | object => {
    const ready = archives.get(capability);
    return ready ? { archive: { ...ready, bytes: readFileSync(ready.file) } } : {};
  };
  const base = archives.get('')!;
  return repository.addRelease({
    ...manifest,
    capabilities: manifest.capabilities.map((capability) => ({ ...capability, ...archiveOf(capability.id) })),
    base: other ?? { bytes: readFileSync(base.file), unpacked: base.unpacked, files: base.files },
    terms: { version: '2026-01', texts: { en: 'be careful' } },
  });
}
