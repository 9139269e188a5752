/** Asking for a passphrase: it is never shown, and a person may cancel the question. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { Command } from 'commander';
import { askNewPassphrase, askSecret, passphrasesOf } from './passphrases.ts';

async function ask(keys: string): Promise<{ answer: string; shown: string }> {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} });
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 24 });
  let shown = '';
  output.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  const answer = askSecret('Passphrase of alice', { input, output });
  input.write(keys);
  return { answer: await answer, shown };
}

test('a typed passphrase is taken, and not shown', async () => {
  const { answer, shown } = await ask('hunter2-hunter2\r');
  assert.equal(answer, 'hunter2-hunter2');
  assert.match(shown, /Passphrase of alice/);
  assert.doesNotMatch(shown, /hunter2/);
});

test('a person may end the question', () => assert.rejects(ask('\u0003'), { code: 'KEY_CANCELLED' }));

test('with --json nobody is asked', async () => {
  const command = new Command().option('--json').parse(['--json'], { from: 'user' });
  await assert.rejects(
    passphrasesOf(command, {}).unlock('alice', () => Promise.resolve('open')),
    { code: 'KEY_PASSPHRASE_NEEDED' },
  );
});

test('a new passphrase is asked twice, and must be the same', async () => {
  const answers = ['one-passphrase', 'one-passphrase', 'one-passphrase', 'other-passphrase'];
  const next = () => Promise.resolve(answers.shift()!);
  assert.equal(await askNewPassphrase('alice', next), 'one-passphrase');
  await assert.rejects(askNewPassphrase('alice', next), { code: 'KEY_PASSPHRASE_WRONG' });
  await assert.rejects(askNewPassphrase('alice', null), { code: 'KEY_PASSPHRASE_NEEDED' });
});
