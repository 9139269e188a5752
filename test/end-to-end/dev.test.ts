/** `npm run dev`, in a copy of the project whose sources are really edited. */
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { SourceChanges } from '../../tools/source-changes.ts';

const posix = { skip: process.platform === 'win32' && 'signals are POSIX', timeout: 400_000 };
const original = resolve(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'countersign-dev-test-'));
after(() => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }));

/** The project's code to edit, with the dependencies of this one. */
function copyProject(): string {
  const project = join(scratch, 'project');
  for (const name of ['package.json', 'packages', 'demo', 'tools', 'fixtures/releases.ts', 'fixtures/sources'])
    cpSync(join(original, name), join(project, name), { recursive: true });
  cpSync(join(original, 'fixtures/component-folders.ts'), join(project, 'fixtures/component-folders.ts'));
  const link = (target: string, path: string): void => symlinkSync(target, join(project, path), 'junction');
  mkdirSync(join(project, 'node_modules', '@countersign'), { recursive: true });
  for (const name of readdirSync(join(original, 'node_modules')))
    if (name !== '@countersign' && name !== '.cache')
      link(join(original, 'node_modules', name), join('node_modules', name));
  for (const name of readdirSync(join(project, 'packages')))
    link(join(project, 'packages', name), join('node_modules', '@countersign', name));
  return project;
}
const project = copyProject();
const temporary = join(scratch, 'temporary');
mkdirSync(temporary);

class Dev {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  output = '';
  #read = 0;

  constructor(t: TestContext, ...args: string[]) {
    this.#child = spawn(process.execPath, ['tools/dev.ts', ...args], {
      cwd: project,
      env: { ...process.env, TMPDIR: temporary, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.#ended = new Promise((done) => this.#child.on('close', done));
    t.after(() => this.end());
  }

  /** Waits for words that were not waited for before. */
  async says(words: RegExp): Promise<RegExpExecArray> {
    for (const end = Date.now() + 180_000; ;) {
      const found = words.exec(this.output.slice(this.#read));
      if (found) {
        this.#read += found.index + found[0].length;
        return found;
      }
      assert.ok(Date.now() < end && this.#child.exitCode === null, `${words.source} was not said:\n${this.output}`);
      await new Promise((again) => setTimeout(again, 50));
    }
  }

  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child.kill(signal);
    return this.#ended;
  }

  exit = (): Promise<number | null> => this.#ended;
}

/** What runs from the copy or what was made there, by command line. */
const running = (): string[] =>
  globSync('/proc/[0-9]*/cmdline')
    .map((file) => {
      try {
        return readFileSync(file, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((command) => command.includes(scratch));

/** The same; one that has just been ended gets a moment. */
async function leftRunning(): Promise<string[]> {
  for (const end = Date.now() + 5000; running().length > 0 && Date.now() < end;)
    await new Promise((again) => setTimeout(again, 50));
  return running();
}

/** As many editors save: a new file takes the place of the old one. */
function save(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

test('ended while it makes its data, it leaves nothing: no process, no folder', posix, async (t) => {
  const dev = new Dev(t);
  await dev.says(/countersign key generate/);
  assert.equal(readdirSync(temporary).length, 1);
  assert.equal(await dev.end('SIGINT'), 0, dev.output);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(await leftRunning(), []);
});

test('a folder with something else in it is left alone', async (t) => {
  const dev = new Dev(t, '--dir', project);
  assert.equal(await dev.exit(), 1);
  assert.match(dev.output, /error\[DEV_FOLDER\]/);
});

test('both programs run, start again on each change, wait out a syntax error, and end together', posix, async (t) => {
  const folder = join(scratch, 'kept');
  const ready = /ready: the server answers at (\S+\/),/;
  const dev = new Dev(t, '--dir', folder);
  const url = (await dev.says(ready))[1]!;
  const served = async (): Promise<number> => (await fetch(`${url}metadata/timestamp.json`)).status;
  assert.equal(await served(), 200);
  await dev.says(/device │ polled: .*"offered"/);

  await t.test('a saved source starts both again, at the same address', async () => {
    const file = join(project, 'packages/protocol/src/index.ts');
    save(file, `${readFileSync(file, 'utf8')}// edited\n`);
    await dev.says(/changed: packages\/protocol\/src\/index\.ts/);
    await dev.says(/device │ stopped/);
    assert.equal((await dev.says(ready))[1], url);
    assert.equal(await served(), 200);
  });

  await t.test('a syntax error is told, and mending it starts both again', async () => {
    const file = join(project, 'packages/repo-server/src/app.ts');
    const good = readFileSync(file, 'utf8');
    save(file, `${good}const = 1;\n`);
    await dev.says(/server │ .*SyntaxError/);
    await dev.says(/server ended with 1, .*; waiting for the next change/);
    await assert.rejects(served());
    save(file, good);
    assert.equal((await dev.says(ready))[1], url);
    assert.equal(await served(), 200);
  });

  await t.test('what is shown to type works: the device installs what is approved', async () => {
    const device = async (...args: string[]): Promise<string> => {
      const program = join(project, 'packages/client/bin/countersign-device.js');
      const dir = ['--dir', join(folder, 'device'), '--json'];
      return (await promisify(execFile)(process.execPath, [program, ...args, ...dir])).stdout;
    };
    const decisions = join(scratch, 'decisions.json');
    const { plan } = JSON.parse(await device('plan', '--decisions-template', decisions)) as { plan: string };
    writeFileSync(decisions, readFileSync(decisions, 'utf8').replaceAll('"accepted": false', '"accepted": true'));
    const password = /--account kim --password-file (\S+)/.exec(dev.output)![1]!;
    const kim = ['--account', 'kim', '--password-file', password];
    await device('approve', plan.slice(0, 16), '--decisions', decisions, ...kim);
    await dev.says(/device │ installed: outcome "committed"/);
    assert.ok(running().some((command) => command.includes('lib/service.mjs')));
  });

  assert.equal(await dev.end('SIGINT'), 0, dev.output);
  await assert.rejects(served());
  assert.deepEqual(await leftRunning(), []);
  assert.ok(existsSync(join(folder, 'dev.json')));

  const again = new Dev(t, '--dir', folder);
  assert.equal((await again.says(ready))[1], url);
  assert.doesNotMatch(again.output, /countersign key generate/);
  assert.equal(await served(), 200);
  assert.equal(await again.end(), 0, again.output);
  assert.deepEqual(await leftRunning(), []);
});

test('changes are told together once they are quiet; tests and other files are none; closing ends the wait', async () => {
  const folder = join(scratch, 'watched');
  mkdirSync(join(folder, 'deep'), { recursive: true });
  const changes = new SourceChanges([folder]);
  const one = join(folder, 'deep', 'one.ts');
  const two = join(folder, 'two.ts');
  writeFileSync(join(folder, 'two.test.ts'), '');
  writeFileSync(join(folder, 'notes.md'), '');
  for (let i = 0; i < 5; i++) save(one, String(i));
  writeFileSync(two, '');
  assert.deepEqual(await changes.next(), [one, two]);
  const next = changes.next();
  changes.close();
  assert.deepEqual(await next, []);
  assert.deepEqual(await changes.next(), []);
});
