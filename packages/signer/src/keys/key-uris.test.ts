/** Naming keys and opening them: how a URI is read, how often a passphrase is tried, and that signatures are valid. */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { verifySignature } from '@countersign/protocol';
import { generateKeyFiles, insecureScryptWorkFactor as fast, keyTypes } from './key-files.ts';
import { listKeys, locateKey, namedKeyFile, openKeys, readPublicKey } from './key-uris.ts';
import { passphrasesFrom, type Passphrases } from './passphrases.ts';

const workspace = mkdtempSync(join(tmpdir(), 'countersign-workspace-'));
after(() => rmSync(workspace, { recursive: true, force: true }));
const first = 'the-first-passphrase';
const second = 'the-second-passphrase';
const firstFile = join(workspace, 'first.txt');
const secondFile = join(workspace, 'second.txt');

before(async () => {
  writeFileSync(firstFile, `${first}\r\nand a second line\n`);
  writeFileSync(secondFile, second);
  for (const type of keyTypes)
    await generateKeyFiles([{ file: namedKeyFile(workspace, type), type }], type === 'rsa' ? second : first, fast);
  await generateKeyFiles([{ file: namedKeyFile(workspace, 'other'), type: 'ecdsa' }], first, fast);
});

/** Counts what is decrypted. */
function counting(source: Passphrases): Passphrases & { readonly tries: string[] } {
  const tries: string[] = [];
  return {
    tries,
    unlock: (what, open) =>
      source.unlock(what, (passphrase) => {
        tries.push(what);
        return open(passphrase);
      }),
  };
}

test('a key has many names and one place', () => {
  const file = namedKeyFile(workspace, 'ecdsa');
  const absolute = resolve(file.privateFile);
  for (const uri of [
    'ecdsa',
    'keys/ecdsa',
    'keys/ecdsa.age',
    'keys/ecdsa.pub.json',
    'file:keys/ecdsa.age',
    'FILE:keys/ecdsa.pub.json',
    absolute,
    `file:${absolute}`,
    pathToFileURL(absolute).href,
  ])
    assert.deepEqual(locateKey(workspace, uri), file, uri);
});

test('refuses tokens and vaults by name, and what names no key', () => {
  assert.throws(() => locateKey(workspace, 'pkcs11:token=x;object=y'), { code: 'KEY_SOURCE_UNAVAILABLE' });
  assert.throws(() => locateKey(workspace, 'azurekms:https://vault/keys/x'), { code: 'KEY_SOURCE_UNAVAILABLE' });
  for (const uri of ['', 'https://example/keys/x', 'file:', 'file:..', '.', 'a\0b', 'file://host/%zz'])
    assert.throws(() => locateKey(workspace, uri), { code: 'KEY_URI' }, uri);
});

test('new names are plain', () => {
  for (const name of ['', 'A', '../x', 'a.b', 'con', 'nul', 'a b', '-a', 'a'.repeat(64)])
    assert.throws(() => namedKeyFile(workspace, name), { code: 'KEY_NAME' }, name);
});

test('signatures of every type hold, for TUF and for certificates', async () => {
  const keys = await openKeys(workspace, ['ed25519', 'ecdsa', 'rsa'], passphrasesFrom([firstFile, secondFile], null));
  const bytes = Buffer.from('what is signed');
  for (const { key, sign, signForCertificate } of keys) {
    const signature = Buffer.from(await sign(bytes)).toString('hex');
    assert.equal(verifySignature(key, bytes, signature), true);
    assert.equal(verifySignature(key, Buffer.from('else'), signature), false);
    if (key.keytype === 'ed25519') await assert.rejects(signForCertificate(bytes), { code: 'KEY_TYPE' });
    else assert.ok(verify('sha256', bytes, createPublicKey(key.keyval.public), await signForCertificate(bytes)));
  }
});

test('decrypts each key once however it is named, and tries first what opened the key before', async () => {
  const source = counting(passphrasesFrom([secondFile, firstFile], null));
  const keys = await openKeys(workspace, ['ecdsa', 'keys/ecdsa.age', 'other', 'file:keys/ecdsa.age'], source);
  assert.deepEqual(
    keys.map(({ uri }) => uri),
    ['ecdsa', 'other'],
  );
  assert.deepEqual(source.tries, ['ecdsa', 'ecdsa', 'other']);
});

test('asks where the files do not open it, three times, and remembers', async () => {
  const questions: string[] = [];
  const answers = ['wrong-one-a', first];
  const asking = passphrasesFrom([secondFile], (question) => {
    questions.push(question);
    return Promise.resolve(answers.shift()!);
  });
  assert.equal((await openKeys(workspace, ['ecdsa', 'other'], asking)).length, 2);
  assert.equal(questions.length, 2);
  let asked = 0;
  const wrong = passphrasesFrom([], () => {
    asked++;
    return Promise.resolve('never-the-one');
  });
  await assert.rejects(openKeys(workspace, ['ecdsa'], wrong), { code: 'KEY_PASSPHRASE_WRONG' });
  assert.equal(asked, 3);
});

test('without a terminal it says which flag is missing, or that none of the files fits, and shows no passphrase', async () => {
  const check = (code: string) => (error: Error & { code: string; hint: string }) => {
    assert.equal(error.code, code);
    assert.match(error.hint, /--passphrase-file/);
    assert.doesNotMatch(inspect(error, { depth: 10 }), /the-(first|second)-passphrase/);
    return true;
  };
  await assert.rejects(openKeys(workspace, ['ecdsa'], passphrasesFrom([], null)), check('KEY_PASSPHRASE_NEEDED'));
  await assert.rejects(
    openKeys(workspace, ['ecdsa'], passphrasesFrom([secondFile], null)),
    check('KEY_PASSPHRASE_WRONG'),
  );
  const empty = join(workspace, 'empty.txt');
  const large = join(workspace, 'large.txt');
  writeFileSync(empty, '\nx');
  writeFileSync(large, 'x'.repeat(5000));
  for (const file of [empty, large, join(workspace, 'absent.txt'), workspace])
    await assert.rejects(openKeys(workspace, ['ecdsa'], passphrasesFrom([file], null)), check('KEY_PASSPHRASE_NEEDED'));
});

test('every name is resolved before the first passphrase is asked', async () => {
  const source = counting(passphrasesFrom([firstFile], null));
  await assert.rejects(openKeys(workspace, ['ecdsa', 'nobody'], source), { code: 'KEY_MISSING' });
  assert.deepEqual(source.tries, []);
});

test('a public half is enough to name a key, but not to sign', async () => {
  const { publicFile } = namedKeyFile(workspace, 'visitor');
  const key = readPublicKey(workspace, 'other');
  writeFileSync(publicFile, JSON.stringify(key));
  assert.deepEqual(readPublicKey(workspace, 'keys/visitor.pub.json'), key);
  assert.equal(listKeys(workspace).find(({ name }) => name === 'visitor')?.held, false);
  await assert.rejects(openKeys(workspace, ['visitor'], passphrasesFrom([firstFile], null)), { code: 'KEY_MISSING' });
  rmSync(publicFile);
});

test('refuses to sign by a scheme that it does not have', async () => {
  const { publicFile } = namedKeyFile(workspace, 'rsa');
  const key = readPublicKey(workspace, 'rsa');
  writeFileSync(publicFile, JSON.stringify({ ...key, scheme: 'rsassa-pss-sha512' }));
  await assert.rejects(openKeys(workspace, ['rsa'], passphrasesFrom([secondFile], null)), { code: 'KEY_TYPE' });
  writeFileSync(publicFile, JSON.stringify(key));
});

test('a workspace without keys lists none', () => assert.deepEqual(listKeys(join(workspace, 'nowhere')), []));
