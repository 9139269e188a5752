/** The key commands as a person or a machine runs them; no secret is in anything they say. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Command } from 'commander';
import { keyIdOf } from '@countersign/protocol';
import { runCommand } from '@countersign/protocol/node';
import { readPublicKey } from '../key-sources.ts';
import { addKeyCommands } from './key.ts';

const workspace = mkdtempSync(join(tmpdir(), 'countersign-key-command-'));
after(() => rmSync(workspace, { recursive: true, force: true }));
const passphrase = 'correct-horse-battery';
const passphraseFile = join(workspace, 'passphrase.txt');
writeFileSync(passphraseFile, `${passphrase}\n`);

async function run(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const program = new Command('countersign').option('--workspace <dir>', 'the workspace', '.');
  addKeyCommands(program);
  let out = '';
  let err = '';
  const code = await runCommand(program, ['--workspace', workspace, ...words], {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  process.exitCode = 0;
  return { code, out, err };
}
const generate = (...words: string[]) =>
  run('key', 'generate', ...words, '--passphrase-file', passphraseFile, '--insecure-fast-scrypt-for-demo', '--json');

test('makes, lists and shows keys', async (t) => {
  const lines: string[] = [];
  t.mock.method(process.stdout, 'write', (text: string) => lines.push(text));
  const made = await generate('alice', 'bob', '--type', 'ed25519');
  const listed = await run('key', 'list', '--json');
  const shown = await run('key', 'show', 'keys/bob.pub.json', '--json');
  await run('key', 'list');
  await run('key', 'show', 'alice');
  t.mock.restoreAll();
  assert.deepEqual([made.code, listed.code, shown.code], [0, 0, 0]);
  const [generated, list, show] = lines.map(
    (line) => line.startsWith('{') && (JSON.parse(line) as never),
  ) as unknown as [
    { keys: { name: string; keyid: string; uri: string }[] },
    { keys: { name: string; held: boolean }[] },
    { keyid: string; spki: string; publicKey: object },
  ];
  assert.deepEqual(
    generated.keys.map(({ name, uri }) => [name, uri]),
    [
      ['alice', 'file:keys/alice.age'],
      ['bob', 'file:keys/bob.age'],
    ],
  );
  assert.deepEqual(
    list.keys.map(({ name, held }) => [name, held]),
    [
      ['alice', true],
      ['bob', true],
    ],
  );
  assert.equal(show.keyid, keyIdOf(readPublicKey(workspace, 'bob')));
  assert.equal(show.keyid, generated.keys[1]!.keyid);
  assert.match(show.spki, /^[0-9a-f]{64}$/);
  const everything = lines.join('\n');
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
