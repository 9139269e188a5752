/**
 * `npm run dev`: a server with sample data and one device that polls it, both started anew whenever a source changes.
 * `--dir DIR` keeps everything in DIR, and goes on with it the next time; without it the folder is gone at the end.
 * Ctrl-C ends it, with everything that it started.
 */
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import pc from 'picocolors';
import { Device } from '../demo/device.ts';
import { Stage, StageError } from '../demo/stage.ts';
import { Vendor } from '../demo/vendor.ts';
import { writeComponents } from '../fixtures/component-folders.ts';
import { SourceChanges } from './source-changes.ts';

const root = resolve(import.meta.dirname, '..');
const first = ['instrument-runtime', 'remote-support@1.0.0', 'notification-client@1.4.0', 'diagnostics@1.0.0'];
const second = ['remote-support@2.0.0', 'notification-client@1.5.0'];
const pollSeconds = 5;

/** What the next start goes on from; written once everything is made. */
const noteName = 'dev.json';
interface Note {
  readonly url: string;
}

const { values } = parseArgs({ options: { dir: { type: 'string' } } });
// Whoever changes the code wants to see where an error comes from.
process.env.COUNTERSIGN_DEBUG ??= '1';
const ending = new AbortController();
// Again and again: npm hands the same Ctrl-C on once more, and cleaning up must not be broken off by it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ending.abort());

function chooseFolder(): string {
  if (values.dir === undefined) return mkdtempSync(join(tmpdir(), 'countersign-dev-'));
  const folder = resolve(values.dir);
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length > 0 && !existsSync(join(folder, noteName))) {
    console.error(`error[DEV_FOLDER]: ${folder} is not empty, and nothing that npm run dev has made completely`);
    console.error('hint: remove it, or name another with --dir');
    process.exit(1);
  }
  return folder;
}

const deviceOn = (stage: Stage): Device =>
  new Device(stage, 'device', { model: 'Demo Analyser', serial: 'DEV-0001', attended: false });

/** Makes the vendor's workspace, a repository with its first releases, packed updates, and the device. */
async function make(stage: Stage): Promise<Note> {
  const vendor = new Vendor(stage);
  stage.heading('Sample data: this takes a minute');
  writeComponents(stage.path('components'));
  await vendor.startAuthority();
  await vendor.makeRepository();
  stage.heading('Releases, and a device');
  await Promise.all([vendor.pack([...first, ...second]), deviceOn(stage).make(vendor.url)]);
  await vendor.release(first);
  return { url: vendor.url };
}

/** Gives what a program says a place of its own; both are told apart at a glance. What it says again and again stands once. */
function prefixed(name: string, color: (text: string) => string): (line: string) => void {
  let before = '';
  return (line) => {
    if (line !== before) console.log(`${color(`${name.padEnd(6)} │`)} ${line}`);
    before = line;
  };
}
const say = prefixed('dev', pc.yellow);

/** Starts server and device; whether both are ready. What is wrong with their code is said by themselves. */
async function start(stage: Stage, { url }: Note): Promise<boolean> {
  const options = (name: string, color: (text: string) => string) => ({
    onLine: prefixed(name, color),
    onEnd: (code: number) => {
      if (!stage.ended) say(`the ${name} has ended with ${code}; it starts again at the next change`);
    },
  });
  try {
    await stage.startProgram(
      'server',
      'countersign-server',
      ['serve', '--dir', stage.path('repository'), '--port', new URL(url).port],
      (line) => line.startsWith('serving ') || undefined,
      options('server', pc.cyan),
    );
    await stage.startProgram(
      'device',
      'countersign-device',
      ['run', '--dir', stage.path('device'), '--poll-seconds', String(pollSeconds)],
      (line) => line.startsWith('started') || undefined,
      options('device', pc.magenta),
    );
    say(`ready: the server answers at ${url}, the device asks it every ${pollSeconds} s`);
    return true;
  } catch (error) {
    if (!(error instanceof StageError)) throw error;
    if (!stage.ended) say(`${error.message}; waiting for the next change`);
    return false;
  }
}

function sayWhatToType(stage: Stage, { url }: Note): void {
  const vendor = new Vendor(stage);
  vendor.url = url;
  const dir = ['--dir', stage.path('device')];
  const kim = deviceOn(stage).passwordFile('kim');
  stage.heading(
    'In another terminal, in this folder: look at the device, and approve what plan names; it installs by itself',
  );
  stage.show('countersign-device', ['status', ...dir]);
  stage.show('countersign-device', ['plan', ...dir]);
  stage.show('countersign-device', ['approve', 'PLAN', '--account', 'kim', '--password-file', kim, ...dir]);
  stage.heading('Publish the next versions, which are packed and code-signed already');
  vendor.showRelease(second);
  stage.say(
    `\nEverything is in ${stage.directory}: vendor's workspace signer, server's repository, device, secrets, logs.`,
  );
  stage.say('A changed source starts both programs again. Ctrl-C ends them.\n');
}

/** Both programs, again after each change, until the end is asked for. */
async function runAll(folder: string, note: Note): Promise<void> {
  const changes = new SourceChanges(globSync('packages/*/src', { cwd: root }).map((name) => join(root, name)));
  let stage = new Stage(folder);
  const stop = (): void => {
    changes.close();
    void stage.end();
  };
  ending.signal.addEventListener('abort', stop);
  try {
    let told = false;
    while (!ending.signal.aborted) {
      const ready = await start(stage, note);
      if (ready && !told) sayWhatToType(stage, note);
      told ||= ready;
      const changed = await changes.next();
      if (changed.length > 0) say(`changed: ${changed.map((file) => relative(root, file)).join(', ')}`);
      await stage.end();
      stage = new Stage(folder);
    }
  } finally {
    changes.close();
    await stage.end();
  }
}

/** Whatever the device has installed runs on without it, as it would on a PC. */
async function stopComponents(folder: string): Promise<void> {
  if (!existsSync(join(folder, noteName))) return;
  try {
    await deviceOn(new Stage(folder)).stopPrograms();
  } catch (error) {
    // The code may be broken just now. Without its data folder a component ends by itself.
    say(`components could not be asked to end: ${(error as Error).message.split('\n')[0]!}`);
  }
}

const folder = chooseFolder();
const making = new Stage(folder);
try {
  const file = join(folder, noteName);
  if (!existsSync(file)) {
    ending.signal.addEventListener('abort', () => void making.end(), { once: true });
    const note = await make(making).finally(() => making.end());
    writeFileSync(file, `${JSON.stringify(note)}\n`);
  }
  await runAll(folder, JSON.parse(readFileSync(file, 'utf8')) as Note);
} catch (error) {
  if (!ending.signal.aborted) {
    console.error(error instanceof StageError ? `error[DEV]: ${error.message}` : error);
    process.exitCode = 1;
  }
}
await stopComponents(folder);
if (values.dir === undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
process.exit();
