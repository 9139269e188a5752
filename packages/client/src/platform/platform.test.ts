import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { freeBytes } from './disk.ts';
import { defaultDirectory } from './default-directory.ts';
import { checkFolder, isTrustedOwner, isTrustedSid, ownerOfSddl } from './folder-safety.ts';
import { killIfSame, runToEnd, type ProcessIdentity } from './processes.ts';
import { removeTree } from './removal.ts';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'countersign-platform-'));
const posix = { skip: process.platform === 'win32' };
const linux = { skip: process.platform !== 'linux' };
const node = (script: string) => ({
  file: process.execPath,
  arguments: ['-e', script],
  directory: tmpdir(),
  environment: { A: '1' },
});
const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};
async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < end, 'in time');
    await new Promise((turn) => setTimeout(turn, 5));
  }
}

test('only the service, root, administrators and the system are trusted owners', () => {
  assert.equal(isTrustedOwner(1000, 1000), true);
  assert.equal(isTrustedOwner(0, 1000), true);
  assert.equal(isTrustedOwner(1001, 1000), false);
  assert.equal(ownerOfSddl('O:BAG:SYD:PAI(A;OICI;FA;;;SY)'), 'BA');
  assert.equal(ownerOfSddl('O:S-1-5-21-1-2-3-1001G:DUD:'), 'S-1-5-21-1-2-3-1001');
  assert.equal(ownerOfSddl('G:SYD:'), null);
  assert.equal(isTrustedSid('BA', 'S-1'), true);
  assert.equal(isTrustedSid('S-1-5-21-1', 'S-1-5-21-1'), true);
  assert.equal(isTrustedSid('S-1-5-21-1', 'S-1-5-21-2'), false);
  assert.equal(isTrustedSid('', ''), false);
  assert.ok(defaultDirectory().length > 0);
});

test("refuses another user's folder", { skip: process.geteuid?.() !== 0 }, async () => {
  const folder = scratch();
  const { chownSync } = await import('node:fs');
  checkFolder(folder);
  chownSync(folder, 12345, 12345);
  assert.throws(() => checkFolder(folder), { code: 'DEVICE_FOLDER_UNSAFE' });
});

test('tells how many bytes are free', async () => assert.ok((await freeBytes(scratch())) > 0));

test('runs a program in exactly its environment and keeps its output', async () => {
  const ending = await runToEnd(node('console.log(JSON.stringify(process.env)); console.error("e"); process.exit(3)'), {
    deadlineMilliseconds: 20_000,
  });
  assert.equal(ending.kind, 'exited');
  assert.ok(ending.kind === 'exited' && ending.code === 3);
  assert.ok(ending.output.includes('{"A":"1"}') && ending.output.includes('e\n'));
});

test('output over the limit is thrown away and blocks nothing', async () => {
  const ending = await runToEnd(node('process.stdout.write("x".repeat(5e6))'), {
    deadlineMilliseconds: 20_000,
    outputLimit: 1000,
  });
  assert.ok(ending.kind === 'exited' && ending.code === 0 && ending.output.length === 1000);
});

test('tells apart what cannot start, what is killed, and what ends', async () => {
  assert.deepEqual(await runToEnd({ ...node(''), file: join(scratch(), 'none') }, { deadlineMilliseconds: 5000 }), {
    kind: 'not-started',
    code: 'ENOENT',
  });
  assert.equal((await runToEnd({ ...node(''), file: 'a\0b' }, { deadlineMilliseconds: 5000 })).kind, 'not-started');
  const killed = await runToEnd(node('process.kill(process.pid, "SIGKILL")'), { deadlineMilliseconds: 20_000 });
  assert.equal(killed.kind, 'killed');
});

test('a deadline ends the program, its group, and children in sessions of their own', linux, async () => {
  const file = join(scratch(), 'pid');
  const script = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'inherit' });
    require('node:fs').writeFileSync(${JSON.stringify(file)}, String(child.pid));
    setInterval(() => {}, 1000);`;
  const ending = await runToEnd(node(script), { deadlineMilliseconds: 1500 });
  assert.equal(ending.kind, 'deadline');
  const pid = Number(readFileSync(file, 'utf8'));
  await until(() => !alive(pid));
});

test('a process that a program leaves behind holds nobody up', linux, async () => {
  const file = join(scratch(), 'pid');
  const script = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], { detached: true, stdio: 'inherit' });
    require('node:fs').writeFileSync(${JSON.stringify(file)}, String(child.pid));
    child.unref();`;
  const ending = await runToEnd(node(script), { deadlineMilliseconds: 20_000 });
  assert.ok(ending.kind === 'exited' && ending.code === 0);
  const pid = Number(readFileSync(file, 'utf8'));
  assert.ok(alive(pid));
  process.kill(pid, 'SIGKILL');
});

test('ends a process of an earlier run only while it is the same one', linux, async () => {
  const started = Promise.withResolvers<ProcessIdentity>();
  const run = runToEnd(node('setTimeout(() => {}, 60000)'), {
    deadlineMilliseconds: 60_000,
    onStarted: started.resolve,
  });
  const identity = await started.promise;
  killIfSame({ ...identity, started: 'another' });
  killIfSame({ ...identity, started: null });
  assert.ok(alive(identity.pid));
  killIfSame(identity);
  assert.equal((await run).kind, 'killed');
});

test('removes a tree without following links and leaves no error for what is already gone', posix, () => {
  const folder = scratch();
  mkdirSync(join(folder, 'tree', 'sub'), { recursive: true });
  writeFileSync(join(folder, 'kept'), 'x');
  writeFileSync(join(folder, 'tree', 'sub', 'file'), 'x');
  chmodSync(join(folder, 'tree', 'sub', 'file'), 0o400);
  symlinkSync(folder, join(folder, 'tree', 'link'));
  assert.equal(removeTree(join(folder, 'tree')), true);
  assert.equal(removeTree(join(folder, 'tree')), true);
  assert.ok(existsSync(join(folder, 'kept')) && !existsSync(join(folder, 'tree')));
});
