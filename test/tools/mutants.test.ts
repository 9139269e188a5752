import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { globSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import { projectCopy } from '../../tools/project-copy.ts';
import { processesOf, removeScratch, scratchEnvironment, scratchFolder } from '../../tools/scratch.ts';

const root = resolve(import.meta.dirname, '../..');
const linux = { skip: process.platform !== 'linux' && 'the watch reads /proc, which only Linux has' };
const room = 'packages/protocol/src/consent';
const source = `${room}/scope.ts`;
const ownTest = `${room}/scope.test.ts`;

/** A copy of the project with one small source, and one test file behind it. */
function smallProject(t: TestContext) {
  const copy = projectCopy(root, scratchFolder('countersign-small-project-'));
  t.after(() => removeScratch(copy));
  for (const file of globSync(`${room}/*.test.ts`, { cwd: copy })) rmSync(join(copy, file));
  writeFileSync(
    join(copy, source),
    'export const isAllowed = (a: number, b: number): boolean => a === 1 && b === 2;\n',
  );
  const environment = scratchEnvironment(join(copy, 'scratch'));
  const args = (...more: string[]): string[] => [join(copy, 'tools', 'mutants.ts'), source, ...more];
  return {
    copy,
    environment,
    args,
    writeTest: (...lines: string[]) =>
      writeFileSync(
        join(copy, ownTest),
        [
          `import assert from 'node:assert/strict';`,
          `import { test } from 'node:test';`,
          `import { isAllowed } from './scope.ts';`,
          `test('both', () => assert.equal(isAllowed(1, 2), true));`,
          ...lines,
        ].join('\n'),
      ),
    run: (...more: string[]) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, args(...more), {
        cwd: copy,
        env: environment,
        encoding: 'utf8',
      });
      return { status, said: stdout + stderr };
    },
  };
}

const first = `test('the first', () => assert.equal(isAllowed(2, 2), false));`;
const second = `test('the second', () => assert.equal(isAllowed(1, 1), false));`;

test('what no test notices is named and fails the run; a test mends it, and only that is asked again', linux, (t) => {
  const project = smallProject(t);
  project.writeTest(first);
  const without = project.run();
  assert.equal(without.status, 1);
  assert.match(without.said, /not noticed: .*scope\.ts:1 b === 2 → true\n/);
  assert.match(without.said, /1 noticed, 1 not noticed/);
  assert.match(project.run().said, /2 checks to take out, 2 of them known[^]*1 noticed, 1 not noticed/);
  project.writeTest(first, second);
  const mended = project.run();
  assert.deepEqual([mended.status, /2 noticed, 0 not noticed/.test(mended.said)], [0, true]);
  assert.deepEqual(readdirSync(join(project.copy, 'scratch')), []);
});

test('tests that are red before anything is taken out are said, and nothing is asked of them', linux, (t) => {
  const project = smallProject(t);
  project.writeTest(`test('wrong', () => assert.equal(isAllowed(1, 2), false));`);
  const { status, said } = project.run();
  assert.equal(status, 1);
  assert.match(said, /error\[MUTANTS\]: .*scope\.test\.ts is red before anything is taken out: wrong/);
  assert.match(said, /0 noticed, 0 not noticed, 2 not asked/);
});

test('a run that is ended keeps what it knows, and the next one goes on from there', linux, async (t) => {
  const project = smallProject(t);
  // The second mutant hangs where the first is over at once.
  project.writeTest(first, `test('hangs', async () => { while (isAllowed(1, 1)) ; });`);
  const child = spawn(process.execPath, project.args('--workers', '1'), {
    cwd: project.copy,
    env: project.environment,
    stdio: 'ignore',
  });
  const results = join(project.copy, 'mutants.jsonl');
  while (!globSync(results).some((file) => readFileSync(file, 'utf8').endsWith('\n')))
    await new Promise((done) => setTimeout(done, 20));
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await ended;
  assert.deepEqual(processesOf(join(project.copy, 'scratch')), []);
  assert.deepEqual(readdirSync(join(project.copy, 'scratch')), []);
  project.writeTest(first, second);
  assert.match(project.run().said, /2 checks to take out, 0 of them known/);
});

test('only what changed since a revision is taken out', linux, (t) => {
  const project = smallProject(t);
  project.writeTest(first, second);
  const git = (...args: string[]): void => {
    const identity = ['-c', 'user.name=somebody', '-c', 'user.email=somebody@example.org'];
    assert.equal(spawnSync('git', [...identity, ...args], { cwd: project.copy }).status, 0, args.join(' '));
  };
  git('init', '-q');
  const unknown = project.run('--since', 'nothing');
  assert.equal(unknown.status, 2);
  assert.match(unknown.said, /^error\[USAGE\]: git does not know the revision nothing\n/);
  git('add', 'packages');
  git('commit', '-qm', 'before');
  const lines = ['export const isAllowed = (a: number, b: number): boolean =>', '  a === 1 &&', '  b === 2;', ''];
  writeFileSync(join(project.copy, source), lines.join('\n'));
  git('commit', '-qam', 'in lines');
  assert.match(project.run('--since', 'HEAD').said, /^0 checks to take out/);
  writeFileSync(join(project.copy, source), lines.join('\n').replace('b === 2', '2 === b'));
  assert.match(project.run('--since', 'HEAD').said, /^1 checks to take out[^]*1 noticed, 0 not noticed/);
  project.writeTest(second, first);
  assert.match(project.run('--since', 'HEAD').said, /^2 checks to take out/);
});
