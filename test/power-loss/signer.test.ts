/**
 * The power is cut at every moment of a command of the signer, and all that was not synced is lost: what it had answered as done is
 * there, down to the last byte; before that each thing is the old one or the new one, whole. Each fsync that this takes is missed when
 * it is left out.
 */
import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { after, before, test } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { newTeam, type ReleaseTeam } from '../support/release-team.ts';
import { cutEverywhere, sitesOf, type Cutting } from './cutting.ts';
import { recordCommand, signerCommands, type CommandRecording } from './signer-commands.ts';

const posix = { skip: process.platform === 'win32' && 'paths and folder syncs are POSIX' };
const folder = mkdtempSync(join(tmpdir(), 'countersign-signer-cut-'));
const recordings = new Map<string, CommandRecording>();
let team: ReleaseTeam;

before(async () => {
  if (posix.skip) return;
  team = await newTeam();
  for (const command of signerCommands) recordings.set(command.name, await recordCommand(folder, team, command));
});
after(() => {
  team?.remove();
  rmSync(folder, { recursive: true });
});

type Files = ReadonlyMap<string, string>;
const empty = sha256('');

/** Every file on the desk that counts, by its digest: no lock, nothing half-written, no state that is over or not there yet. */
function thatCount(desk: ReadonlyMap<string, Buffer>): Files {
  const settings = desk.get(join('workspace', 'countersign.json'));
  const states = join('workspace', 'state', sep);
  const { state = 'none' } = settings ? (JSON.parse(settings.toString()) as { state?: number }) : {};
  const current = join(states, String(state), sep);
  const names = [...desk.keys()].filter(
    (name) => !/\.db$|\.tmp$|\.packing-/.test(name) && (!name.startsWith(states) || name.startsWith(current)),
  );
  return new Map(names.sort().map((name) => [name, digestOf(desk.get(name)!)]));
}

const digests = new WeakMap<Buffer, string>();
function digestOf(bytes: Buffer): string {
  const known = digests.get(bytes) ?? sha256(bytes);
  digests.set(bytes, known);
  return known;
}

const filesOn = (desk: string): Files =>
  thatCount(
    new Map(
      globSync('**', { cwd: desk, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((file) => [relative(desk, file), readFileSync(file)]),
    ),
  );

/** What counts as a whole or not at all: a workspace's state, and with its statement a packed release. */
const isState = (name: string): boolean => /^workspace.(state|countersign\.json$)/.test(name);
const isStatement = (name: string): boolean => name.endsWith('.statement.json');
const belongsTo = (statement: string) => (name: string) =>
  dirname(name) === dirname(statement) && !name.endsWith('.sigstore.jsonl');

const part = (files: Files, belongs: (name: string) => boolean): string =>
  JSON.stringify([...files].filter(([name]) => belongs(name)));

/** What is wrong with the desk that a cut left. */
function faultsOf(left: Files, old: Files, made: Files, over: boolean): string[] {
  const faults: string[] = [];
  const wrong = (what: string): void => void faults.push(what);
  const all = new Set([...left.keys(), ...old.keys(), ...made.keys()]);
  if (over) {
    for (const name of all) if (left.get(name) !== made.get(name)) wrong(`${name} is not what was answered as done`);
    return faults;
  }
  const state = part(left, isState);
  if (![old, made].some((files) => part(files, isState) === state)) wrong(`a state that nobody made: ${state}`);
  for (const name of all) {
    if (isState(name)) continue;
    const digest = left.get(name);
    if (digest === undefined) {
      // Packing again takes the statement away first; whatever else was there before stays, or goes for good.
      const unfinished = [...old.keys()].some((one) => isStatement(one) && !left.has(one) && belongsTo(one)(name));
      if (old.has(name) && made.has(name) && !unfinished) wrong(`${name} is gone`);
      continue;
    }
    // A key's name is taken before the key is made.
    const taken = digest === empty && name.startsWith(join('workspace', 'keys', sep)) && !old.has(name);
    if (digest !== old.get(name) && digest !== made.get(name) && !taken) wrong(`${name} is neither old nor new`);
    if (!isStatement(name)) continue;
    const whole = [old, made].filter((files) => files.get(name) === digest);
    const files = part(left, belongsTo(name));
    if (!whole.some((one) => part(one, belongsTo(name)) === files)) wrong(`${name} is there without its files`);
  }
  return faults;
}

/** Commands inside this process run one after the other. */
let running = Promise.resolve();

/** Cuts the power at every moment of a command, until something is wrong; what it is. */
async function cut(name: string, without?: string): Promise<string[]> {
  const { start, whole, calls, again, runAgain } = recordings.get(name)!;
  const [old, made] = [filesOn(start), filesOn(whole)];
  const tried = new Set<string>();
  const glance: Cutting['glance'] = (files, over, note) => {
    try {
      const left = thatCount(files);
      faultsOf(left, old, made, over).forEach(note);
      const key = JSON.stringify([...left]);
      if (without !== undefined || again === undefined || tried.has(key)) return false;
      tried.add(key);
      return true;
    } catch (error) {
      note(String(error));
      return false;
    }
  };
  const check: Cutting['check'] = async (directory, _over, note) => {
    const mine = running.then(async () => {
      const code = await runAgain(directory);
      if (code !== null && !again!.includes(code)) note(`run again it ends with ${code}`);
    });
    running = mine.catch(() => undefined);
    await mine;
  };
  return cutEverywhere({
    start,
    calls,
    folder,
    without,
    stop: 'at first',
    losses: ['everything', 'contents', 'removals'],
    glance,
    check,
  });
}

for (const { name } of signerCommands)
  test(
    `${name}: with everything unsynced lost at any moment, what was answered is there, and nothing is half`,
    posix,
    async () => {
      assert.deepEqual(await cut(name), []);
    },
  );

/** Every fsync that a command reaches: whose it is, and a command that is broken without it. */
const sites: Record<string, string> = {
  'file: durable-file.ts writeDurable < artifacts.ts withArtifactLock': 'sign',
  'file: durable-file.ts writeDurable < chains.ts keepLine': 'authority devices',
  'file: durable-file.ts writeDurable < key-files.ts generateKeyFiles': 'key generate',
  'file: durable-file.ts writeDurable < packing.ts buildFiles': 'pack --replace',
  'file: durable-file.ts writeDurable < packing.ts place': 'pack --replace',
  'file: durable-file.ts writeDurable < shipped-package.ts keepPackage': 'change sign',
  'file: durable-file.ts writeDurable < workspace-editing.ts withWorkspaceLock': 'change export',
  'file: durable-file.ts writeDurable < workspace.ts keepDocument': 'release add',
  'file: durable-file.ts writeDurable < workspace.ts keepFirstRoot': 'change import by a newcomer',
  'file: durable-file.ts writeDurable < workspace.ts replaceTrusted': 'publish',
  'file: durable-file.ts writeDurable < workspace.ts writePending': 'release add',
  'file: durable-file.ts writeDurable < workspace.ts writeWorkspaceState': 'change discard',
  'file: pack.ts packArchive': 'pack --replace',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < chains.ts keepLine': 'init',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < key-files.ts generateKeyFiles': 'key generate',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < packing.ts makeScratch': 'pack',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < packing.ts place': 'pack',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < shipped-package.ts keepPackage': 'change sign',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < workspace-editing.ts copyTree': 'change discard',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < workspace-editing.ts createWorkspace':
    'change import',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < workspace.ts keepDocument': 'release add',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < workspace.ts replaceTrusted': 'publish',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < workspace.ts writePending': 'init',
  'folder: durable-file.ts syncFolder < durable-file.ts removeDurable < chains.ts dropLine': 'change sign',
  'folder: durable-file.ts syncFolder < durable-file.ts removeDurable < packing.ts place': 'pack --replace',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < artifacts.ts withArtifactLock': 'sign',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < chains.ts keepLine': 'authority devices',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < key-files.ts generateKeyFiles': 'key generate',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < packing.ts place': 'pack --replace',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < shipped-package.ts keepPackage': 'change sign',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < workspace-editing.ts withWorkspaceLock':
    'change export',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < workspace.ts keepDocument': 'release add',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < workspace.ts replaceTrusted': 'publish',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < workspace.ts writePending': 'release add',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < workspace.ts writeWorkspaceState':
    'change discard',
  'folder: durable-file.ts syncFolder < packing.ts place': 'pack what lost a file',
  'folder: durable-file.ts syncFolder < workspace-editing.ts copyTree': 'change discard',
  'folder: durable-file.ts syncFolder < workspace.ts discardChange': 'change discard',
};
/**
 * What these sync is said again by a later fsync of the same folder, goes along with a rename, is thrown away at once, or stood there
 * with the same content.
 */
const costLittle = [
  'file: tree-writer.ts lane < tree-writer.ts flushAll < tree-writer.ts flush < unpack.ts unpackHere',
  'folder: durable-file.ts syncFolder < durable-file.ts makeFolder < workspace-editing.ts editWorkspace',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < packing.ts buildFiles',
  'folder: durable-file.ts syncFolder < durable-file.ts writeDurable < workspace.ts keepFirstRoot',
  'folder: durable-file.ts syncFolder < pack.ts packArchive',
  'folder: durable-file.ts syncFolder < unpack.ts unpackArchive',
  'folder: tree-writer.ts lane < tree-writer.ts flushAll < tree-writer.ts flush < unpack.ts unpackHere',
];

test('the table names every fsync that the commands reach', posix, () => {
  assert.deepEqual(sitesOf(recordings.values(), folder), [...Object.keys(sites), ...costLittle].sort());
});

for (const [site, name] of Object.entries(sites))
  test(`without the fsync of ${site}, ${name} loses something`, posix, async () => {
    assert.notDeepEqual(await cut(name, site), []);
  });
