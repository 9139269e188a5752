import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { nodeError } from '../node-errors.ts';
import { runCommand } from './command-line.ts';
import { addDoctorCommand, diagnose, type Check } from './doctor.ts';

const ill: Check[] = [
  ({ add }) => add('ONE', 'one is wrong', 'mend one'),
  () => Promise.reject(nodeError('FILE_READ', 'reading x: denied', { hint: 'ask for it' })),
  () => {
    throw new RangeError('a defect');
  },
  async ({ add, has }) => {
    await Promise.resolve();
    if (has('ONE') && !has('TWO')) add('TWO', 'two is wrong', 'mend two');
  },
];

test('a part of a check that throws leaves the other parts', async () => {
  const check: Check = async ({ attempt }) => {
    for (const code of ['FILE_READ', 'FILE_WRITE'] as const) await attempt(() => Promise.reject(nodeError(code, 'no')));
  };
  assert.deepEqual(
    (await diagnose([check])).map(({ code }) => code),
    ['FILE_READ', 'FILE_WRITE'],
  );
});

test('every check is run, and one that throws is a finding itself', async () => {
  assert.deepEqual(
    (await diagnose(ill)).map(({ code, what }) => [code, what]),
    [
      ['ONE', 'one is wrong'],
      ['FILE_READ', 'reading x: denied'],
      ['INTERNAL', 'a defect'],
      ['TWO', 'two is wrong'],
    ],
  );
  assert.deepEqual(await diagnose([]), []);
});

for (const [checks, code] of [
  [ill, 1],
  [[], 0],
] as const)
  test(`the command ends with ${code} where ${checks.length} checks look`, async (t) => {
    t.after(() => (process.exitCode = 0));
    process.exitCode = 0;
    const program = new Command('sample');
    addDoctorCommand(program, () => diagnose(checks));
    assert.equal(await runCommand(program, ['doctor', '--json'], { stdout: { write: () => true } }), code);
  });
