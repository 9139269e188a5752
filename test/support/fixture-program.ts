/** Runs a fixture component's hooks as a device does: from its base folder, with only its own environment. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manifestFormat, type Manifest } from '@countersign/protocol';

export interface GrantLine {
  readonly id: string;
  readonly contract?: number;
  readonly scope?: object;
  readonly path?: string | null;
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export class FixtureProgram {
  readonly manifest: Manifest;
  readonly folder: string;
  readonly dataFolder: string;
  readonly grantsFile: string;

  /**
   * `folder` is a component folder. `place` is a scratch folder of the test; several versions of one component may share it, one
   * after another.
   */
  constructor(folder: string, place: string) {
    this.folder = folder;
    this.manifest = manifestFormat.check(JSON.parse(readFileSync(join(this.folder, 'component.json'), 'utf8')));
    const { name } = this.manifest;
    this.dataFolder = join(place, 'data', name);
    this.grantsFile = join(place, `${name}.json`);
    mkdirSync(this.dataFolder, { recursive: true });
  }

  grant(...grants: GrantLine[]): void {
    const { name: component, version } = this.manifest;
    const lines = grants.map((grant) => ({ contract: 1, scope: {}, path: null, ...grant }));
    writeFileSync(`${this.grantsFile}.new`, JSON.stringify({ component, version, grants: lines }));
    renameSync(`${this.grantsFile}.new`, this.grantsFile);
  }

  /** The folder of a capability's own files. */
  capabilityFolder = (id: string): string => join(this.folder, 'capabilities', id);

  /** Runs a hook to its end. */
  hook(name: 'start' | 'stop' | 'health'): Promise<{ code: number | null; output: string }> {
    const [argv] = this.manifest.hooks[name]!;
    return this.run(argv.slice(1));
  }

  run(words: readonly string[]): Promise<{ code: number | null; output: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, words, {
        cwd: join(this.folder, 'base'),
        env: {
          ...(process.platform === 'win32' && { SystemRoot: process.env.SystemRoot }),
          COUNTERSIGN_COMPONENT: this.manifest.name,
          COUNTERSIGN_GRANTS: this.grantsFile,
          COUNTERSIGN_DATA: this.dataFolder,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (output += String(part)));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, output }));
    });
  }

  /** What the running service noted about itself. */
  state(): { pid: number; port: number; token: string } {
    return JSON.parse(readFileSync(join(this.dataFolder, 'service.json'), 'utf8')) as never;
  }

  async ask(path: string, options: { method?: string; body?: object; token?: string } = {}): Promise<Answer> {
    const response = await this.fetch(path, options);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  fetch(path: string, { method = 'GET', body, token }: { method?: string; body?: object; token?: string } = {}) {
    const { port, token: own } = this.state();
    return fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { authorization: `Bearer ${token ?? own}`, connection: 'close' },
      ...(body && { body: JSON.stringify(body) }),
    });
  }

  async open(): Promise<unknown> {
    return (await this.ask('/status')).body.open;
  }

  /** Ends the service, even if the test failed. */
  async end(): Promise<void> {
    await this.hook('stop');
    rmSync(this.dataFolder, { recursive: true, force: true });
  }
}

/** Whether the process runs; one that ended, but whose exit code nobody has read yet, does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}
