/** `countersign key generate | list | show`. */
import { resolve } from 'node:path';
import { canAsk, terminalOf } from '@countersign/protocol/terminal';
import type { Command } from 'commander';
import { escapeText, keyIdOf } from '@countersign/protocol';
import {
  describeKey,
  generateKeyFiles,
  insecureScryptWorkFactor,
  readPublicKeyFile,
  scryptWorkFactor,
  type KeyType,
} from '../keys/key-files.ts';
import { listKeys, locateKey, namedKeyFile, readPublicKey } from '../keys/key-uris.ts';
import { askNewPassphrase, askSecret, readPassphraseFile } from '../keys/passphrases.ts';

interface GenerateOptions {
  readonly type: KeyType;
  readonly passphraseFile?: string;
  readonly insecureFastScryptForDemo?: true;
}

const workspaceOf = (command: Command): string =>
  resolve(command.optsWithGlobals<{ workspace?: string }>().workspace ?? '.');

/** The private half only ever lies in the encrypted file; what is printed here may be given to anyone. */
export async function generate(names: string[], options: GenerateOptions, command: Command): Promise<void> {
  const workspace = workspaceOf(command);
  const terminal = terminalOf(command);
  const keys = names.map((name) => ({ file: namedKeyFile(workspace, name), type: options.type }));
  const passphrase =
    options.passphraseFile === undefined
      ? await askNewPassphrase(names.join(', '), canAsk(terminal) ? askSecret : null)
      : readPassphraseFile(options.passphraseFile);
  const insecure = options.insecureFastScryptForDemo === true;
  if (insecure) terminal.warn('these keys are protected for a demo only: never sign anything real with them');
  const made = await generateKeyFiles(keys, passphrase, insecure ? insecureScryptWorkFactor : scryptWorkFactor);
  const answer = made.map((key, index) => ({
    name: names[index]!,
    uri: `file:keys/${names[index]!}.age`,
    publicFile: keys[index]!.file.publicFile,
    ...describeKey(key),
  }));
  terminal.answer({ keys: answer }, () => {
    for (const { name, uri, keyid } of answer) terminal.print(`${name}: ${uri}, key id ${keyid}`);
    terminal.print('keep a copy of the .age files in another place; give the .pub.json files to who needs them');
  });
}

export function list(_options: unknown, command: Command): void {
  const terminal = terminalOf(command);
  const keys = listKeys(workspaceOf(command)).map(({ name, file, held }) => ({
    name,
    held,
    ...describeKey(readPublicKeyFile(file.publicFile)),
  }));
  terminal.answer({ keys }, () => {
    if (keys.length === 0) return terminal.print('no keys yet: countersign key generate NAME');
    terminal.table(
      ['name', 'private half', 'type', 'key id'],
      keys.map(({ name, held, scheme, keyid }) => [name, held ? 'here' : 'elsewhere', scheme, keyid]),
    );
  });
}

export function show(uri: string, _options: unknown, command: Command): void {
  const workspace = workspaceOf(command);
  const terminal = terminalOf(command);
  const key = readPublicKey(workspace, uri);
  const { publicFile } = locateKey(workspace, uri);
  const described = describeKey(key);
  terminal.answer({ publicFile, ...described, publicKey: key }, () => {
    terminal.print(`file    ${escapeText(publicFile)}`);
    terminal.print(`type    ${described.keytype}, ${described.scheme}`);
    terminal.print(`key id  ${keyIdOf(key)}`);
    terminal.print(`spki    ${described.spki}`);
    for (const line of key.keyval.public.trimEnd().split('\n')) terminal.print(escapeText(line));
  });
}
