/** The key commands as a person or a machine runs them; their output never holds a secret. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { keyIdOf } from '@countersign/protocol';
import { commandOutput } from '../../../../test/support/command-output.ts';
import { readPublicKey } from '../keys/key-uris.ts';

const workspace = mkdtempSync(join(tmpdir(), 'countersign-key-command-'));
after(() => rmSync(workspace, { recursive: true, force: true }));
const passphrase = 'correct-horse-battery';
const passphraseFile = join(workspace, 'passphrase.txt');
writeFileSync(passphraseFile, `${passphrase}\n`);

const run = (...words: string[]) => commandOutput(['--workspace', workspace, ...words]);
const generate = (...words: string[]) =>
  run('key', 'generate', ...words, '--passphrase-file', passphraseFile, '--insecure-fast-scrypt-for-demo', '--json');

test('makes, lists and shows keys', async () => {
  const made = await generate('alice', 'bob', '--type', 'ed25519');
  const listed = await run('key', 'list', '--json');
  const shown = await run('key', 'show', 'keys/bob.pub.json', '--json');
  const words = [made, listed, shown, await run('key', 'list'), await run('key', 'show', 'alice')];
  assert.deepEqual(new Set(words.map(({ code }) => code)), new Set([0]));
  const generated = made.json<{ keys: { name: string; keyid: string; uri: string }[] }>();
  assert.deepEqual(
    generated.keys.map(({ name, uri }) => [name, uri]),
    [
      ['alice', 'file:keys/alice.age'],
      ['bob', 'file:keys/bob.age'],
    ],
  );
  assert.deepEqual(
    listed.json<{ keys: { name: string; held: boolean }[] }>().keys.map(({ name, held }) => [name, held]),
    [
      ['alice', true],
      ['bob', true],
    ],
  );
  const { keyid, spki } = shown.json<{ keyid: string; spki: string }>();
  assert.equal(keyid, keyIdOf(readPublicKey(workspace, 'bob')));
  assert.equal(keyid, generated.keys[1]!.keyid);
  assert.match(spki, /^[0-9a-f]{64}$/);
  const everything = words.map(({ out, err }) => out + err).join('\n');
  assert.match(everything, /alice +here +ed25519/);
  assert.doesNotMatch(everything, /correct-horse|PRIVATE/);
});

test('refuses to overwrite, and to make keys without a passphrase file where nobody can be asked', async () => {
  await generate('carol');
  const before = readFileSync(join(workspace, 'keys', 'carol.age'));
  const again = await generate('carol');
  assert.equal(again.code, 1);
  assert.match(again.out, /"KEY_EXISTS"/);
  assert.deepEqual(readFileSync(join(workspace, 'keys', 'carol.age')), before);
  const silent = await run('key', 'generate', 'dave', '--json');
  assert.equal(silent.code, 1);
  assert.match(silent.out, /"KEY_PASSPHRASE_NEEDED".*--passphrase-file/);
  assert.doesNotMatch(again.out + again.err + silent.out + silent.err, /correct-horse/);
});

test('wrong usage exits with 2: a passphrase is no argument, a type is one of three', async () => {
  for (const words of [['--passphrase', 'x'], ['--type', 'dsa'], []]) {
    const { code } = await run('key', 'generate', ...(words.length === 0 ? [] : ['erin']), ...words, '--json');
    assert.equal(code, 2);
  }
});
