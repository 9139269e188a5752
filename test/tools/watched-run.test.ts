import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { mountsBelow, processesOf, removeScratch, scratchFolder } from '../../tools/scratch.ts';
import { runWatched, type Ended, type Limits } from '../../tools/watched-run.ts';
import { mountable } from '../support/small-disk.ts';

const linux = { skip: process.platform !== 'linux' && 'the watch reads /proc, which only Linux has' };
const usual: Limits = { seconds: 30, memory: 2 ** 30, disk: 2 ** 30 };

interface Tried extends Ended {
  readonly left: readonly number[];
  readonly files: readonly string[];
}

/** Runs one test file with this text, and says what is left of it. */
async function tryOut(t: TestContext, text: string, limits: Partial<Limits> = {}): Promise<Tried> {
  const cwd = scratchFolder('countersign-watched-');
  const scratch = join(cwd, 'scratch');
  mkdirSync(scratch);
  t.after(() => removeScratch(cwd));
  const imports = ['node:test', 'node:fs', 'node:os', 'node:path', 'node:child_process'];
  const names = ['{ test }', '* as fs', '{ tmpdir }', '{ join }', '{ spawn, spawnSync }'];
  const head = imports.map((from, at) => `import ${names[at]} from '${from}';`).join('\n');
  writeFileSync(join(cwd, 'one.test.mjs'), `${head}\n${text}\n`);
  const ended = await runWatched({ tests: ['one.test.mjs'], cwd, scratch, limits: { ...usual, ...limits } });
  return { ...ended, left: processesOf(scratch), files: readdirSync(scratch) };
}

const spare = `fs.writeFileSync(join(tmpdir(), 'left'), 'x');`;
/** A program in a session and an environment of its own, as a device's hooks are. */
const stray = `spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', tmpdir()], { detached: true, stdio: 'ignore', env: {} }).unref();`;

test('green and red are told apart, with the name of the first red test; nothing is left', linux, async (t) => {
  const green = await tryOut(t, `test('well', () => { ${spare} });`);
  assert.deepEqual([green.outcome, green.left, green.files], ['green', [], []]);
  const red = await tryOut(t, `test('unwell', () => { ${spare} ${stray} throw new Error(); });`);
  assert.deepEqual([red.outcome, red.test, red.left, red.files], ['red', 'unwell', [], []]);
});

test('a run that hangs ends in its time, with the programs that it started', linux, async (t) => {
  const tried = await tryOut(t, `test('hangs', async () => { ${stray} for (;;) {} });`, { seconds: 1 });
  assert.deepEqual([tried.outcome, tried.left], ['over time', []]);
});

test('a run that fills memory ends, also where a program of its own fills it', linux, async (t) => {
  const fills = `const kept = []; setInterval(() => kept.push(Buffer.alloc(2 ** 24, 1)), 5)`;
  const text = `test('fills', async () => { spawn(process.execPath, ['-e', ${JSON.stringify(fills)}, tmpdir()], { detached: true, env: {} }); await new Promise(() => setInterval(() => {}, 1000)); });`;
  const tried = await tryOut(t, text, { memory: 2 ** 28 });
  assert.deepEqual([tried.outcome, tried.left], ['over memory', []]);
});

test('a run that fills the disk ends, and what it wrote goes', linux, async (t) => {
  const text = `test('fills', async () => { for (let n = 0; ; n++) { fs.writeFileSync(join(tmpdir(), 'f' + n), Buffer.alloc(2 ** 20)); await new Promise((done) => setTimeout(done, 5)); } });`;
  const tried = await tryOut(t, text, { disk: 2 ** 26 });
  assert.deepEqual([tried.outcome, tried.left, tried.files], ['over disk', [], []]);
});

test('a small disk that a killed test left mounted is unmounted', mountable, async (t) => {
  const text = `test('mounts', async () => { const d = join(tmpdir(), 'a disk'); fs.mkdirSync(d);
    const run = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', d]); if (run.status !== 0) throw new Error('no mount');
    fs.writeFileSync(join(d, 'in it'), 'x'); for (;;) {} });`;
  const tried = await tryOut(t, text, { seconds: 2 });
  assert.deepEqual([tried.outcome, tried.left, tried.files], ['over time', [], []]);
});

test('mounts are found with names that the table writes in octal', mountable, async (t) => {
  const folder = scratchFolder('countersign-mounts-');
  t.after(() => removeScratch(folder));
  const { spawnSync } = await import('node:child_process');
  for (const name of ['a b', join('a b', 'inner')]) {
    mkdirSync(join(folder, name));
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', join(folder, name)]).status, 0);
  }
  assert.deepEqual(mountsBelow(folder), [join(folder, 'a b', 'inner'), join(folder, 'a b')]);
  await removeScratch(folder);
  assert.equal(existsSync(folder), false);
});
