import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import manifest from '../../../package.json' with { type: 'json' };
import { CountersignError } from '../../error.ts';
import { nodeError } from '../node-errors.ts';
import { runCommand, terminalOf } from './command-line.ts';
import { describeError, exitCode, openTerminal, printError, renderTable } from './terminal.ts';

function capture() {
  const written = { out: '', err: '' };
  return {
    written,
    stdout: { write: (text: string) => void (written.out += text) },
    stderr: { write: (text: string) => void (written.err += text) },
  };
}

test('an error is its code, message and hint on stderr', () => {
  const { written, ...streams } = capture();
  printError(new CountersignError('A_CODE', 'what happened', 'how to repair it'), streams);
  assert.deepEqual(written, { out: '', err: 'error[A_CODE]: what happened\nhint: how to repair it\n' });
});

test('with --json an error is one object on stdout and stderr stays empty', () => {
  const { written, ...streams } = capture();
  printError(nodeError('DISK_FULL', 'writing x'), { ...streams, json: true });
  assert.equal(written.err, '');
  assert.deepEqual(Object.keys((JSON.parse(written.out) as { error: object }).error), ['code', 'message', 'hint']);
});

test('control characters of a message never reach the terminal', () => {
  assert.equal(describeError(nodeError('FILE_READ', 'a\u001b[31mb\nc')).message, 'a\\u{1b}[31mb\\u{a}c');
  assert.equal(describeError('a\u202eb').message, 'a\\u{202e}b');
});

test('an unforeseen error is INTERNAL and exits 1, wrong usage exits 2', () => {
  assert.equal(describeError(new TypeError('x is not a function')).code, 'INTERNAL');
  assert.equal(describeError(Object.assign(new Error('raw'), { code: 'ENOENT' })).code, 'INTERNAL');
  assert.equal(exitCode(new Error('x')), 1);
  assert.equal(exitCode(nodeError('USAGE', 'x')), 2);
});

test('a table lines up wide characters and escapes its cells', () => {
  assert.deepEqual(
    renderTable(
      ['name', 'state'],
      [
        ['원격 지원', 'on'],
        ['a\u0007', 'off'],
      ],
    ),
    ['name       state', '원격 지원  on', 'a\\u{7}     off'],
  );
});

test('with --json a terminal says its answer only', () => {
  const { written, ...streams } = capture();
  const terminal = openTerminal({ ...streams, json: true });
  terminal.print('line');
  terminal.note('note');
  terminal.warn('warning');
  terminal.table(['a'], [['b']]);
  terminal.progress('x', 10).update(5);
  terminal.answer({ done: true }, () => assert.fail('words are for people'));
  assert.deepEqual(written, { out: '{"done":true}\n', err: '' });
});

test('progress is drawn on a terminal only', () => {
  const { written, ...streams } = capture();
  openTerminal(streams).progress('x', 10).update(5);
  assert.equal(written.err, '');
  const bar = openTerminal({ ...streams, stderr: { ...streams.stderr, isTTY: true } }).progress('x\u001b', 10);
  bar.update(5);
  bar.end();
  assert.match(written.err, /x\\u\{1b\} █{12}░{12} {2}50 %/);
});

const program = (): Command => {
  const root = new Command('prog');
  root
    .command('fail')
    .option('--secret-file <file>')
    .action(() => {
      throw nodeError('FILE_WRITE', 'writing x');
    });
  root
    .command('tell')
    .argument('<what>')
    .action((what: string, _options: object, command: Command) =>
      terminalOf(command).answer({ what }, () => assert.fail()),
    );
  return root;
};

async function run(...argv: string[]) {
  const { written, ...streams } = capture();
  const saved = process.exitCode;
  const code = await runCommand(program(), argv, streams);
  process.exitCode = saved;
  return { code, ...written };
}

test('a refused command exits 1, wrong usage 2, help and version 0', async () => {
  assert.deepEqual(await run('fail'), {
    code: 1,
    out: '',
    err: 'error[FILE_WRITE]: writing x\nhint: check who owns the folder and that the disk is sound\n',
  });
  for (const argv of [['nope'], ['fail', '--nope'], ['tell'], ['fail', '--secret-file'], ['tell', 'a', 'b']]) {
    const { code, out, err } = await run(...argv);
    assert.deepEqual([code, out], [2, ''], argv.join(' '));
    assert.match(err, /^error\[USAGE\]: .*\nhint: see prog.* --help\n$/);
  }
  for (const argv of [['--version'], ['fail', '--version'], ['tell', '--version']]) {
    const { code, out, err } = await run(...argv);
    assert.deepEqual([code, out, err], [0, `${manifest.version}\n`, ''], argv.join(' '));
  }
  const help = await run('fail', '--help');
  assert.deepEqual([help.code, help.err], [0, '']);
  assert.match(help.out, /--json/);
});

test('without a command the help goes to stderr and the exit is 2', async () => {
  const { code, out, err } = await run();
  assert.deepEqual([code, out], [2, '']);
  assert.match(err, /^Usage: prog/);
});

test('with --json every failure is one JSON object on stdout', async () => {
  for (const [argv, expected] of [
    [['fail', '--json'], 'FILE_WRITE'],
    [['nope', '--json'], 'USAGE'],
    [['tell', '--json'], 'USAGE'],
  ] as const) {
    const { out, err } = await run(...argv);
    assert.equal(err, '');
    assert.equal((JSON.parse(out) as { error: { code: string } }).error.code, expected);
  }
});
