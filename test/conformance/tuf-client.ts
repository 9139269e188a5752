/**
 * The client that the conformance suite of the TUF project runs, with the product's own core, workflow and download code, under
 * the specification alone:
 *
 *   tuf-client --metadata-dir D init ROOT.json
 *   tuf-client --metadata-dir D --metadata-url U refresh
 *   tuf-client --metadata-dir D --metadata-url U --target-name T… --target-base-url B --target-dir X download
 *
 * Exit 0 or 1. Trusted metadata stands in D under plain names; `D/history` holds the shipped root, every root and the record.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CountersignError, consistentTargetName } from '@countersign/protocol';
import {
  baseUrl,
  directoryStore,
  download,
  httpSource,
  isComplete,
  lookUp,
  makeFolder,
  readIfPresent,
  refresh,
  restoreRoot,
  safeFileName,
  writeDurable,
  type MetadataSession,
} from '@countersign/protocol/node';
import { printError } from '@countersign/protocol/terminal';

const fail = (message: string): Error =>
  new CountersignError('USAGE', message, 'see the head of test/conformance/tuf-client.ts');
const shippedFile = (directory: string): string => join(directory, 'history', 'shipped');

async function init(directory: string, root: string): Promise<void> {
  const shippedRoot = readFileSync(root);
  const store = directoryStore(directory);
  await restoreRoot({ store, shippedRoot, profile: 'general' });
  writeDurable(shippedFile(directory), shippedRoot);
}

function update(directory: string, metadataUrl: string): Promise<MetadataSession> {
  const shippedRoot = readIfPresent(shippedFile(directory));
  if (!shippedRoot) throw fail(`${directory} was not initialised`);
  const store = directoryStore(directory);
  return refresh({ source: httpSource({ metadataUrl }), store, shippedRoot, now: new Date(), profile: 'general' });
}

async function fetchTarget(
  session: MetadataSession,
  path: string,
  targetUrl: string,
  directory: string,
): Promise<void> {
  const { target } = await lookUp(session, path);
  if (!target) throw new CountersignError('TUF_MISSING', `the repository has no target ${path}`, 'name another one');
  const { length, hashes } = target;
  const file = join(directory, safeFileName(path));
  if (await isComplete(file, { length, hashes })) return;
  const digest = Object.hasOwn(hashes, 'sha256') ? hashes.sha256! : Object.values(hashes)[0]!;
  const name = session.state.root.signed.consistent_snapshot ? consistentTargetName(path, digest) : path;
  const url = new URL(name.split('/').map(encodeURIComponent).join('/'), baseUrl(targetUrl));
  await download({ url, file, length, hashes });
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'metadata-dir': text,
      'metadata-url': text,
      'target-name': { type: 'string', multiple: true },
      'target-base-url': text,
      'target-dir': text,
    },
  });
  const need = (value: string | undefined, name: string): string => {
    if (value === undefined) throw fail(`${name} is missing`);
    return value;
  };
  const directory = need(values['metadata-dir'], '--metadata-dir');
  const [command, argument] = positionals;
  if (command === 'init') return init(directory, need(argument, 'ROOT.json'));
  if (command !== 'refresh' && command !== 'download') throw fail(`there is no command ${String(command)}`);
  const session = await update(directory, need(values['metadata-url'], '--metadata-url'));
  if (command === 'refresh') return;
  const names = values['target-name'] ?? [need(undefined, '--target-name')];
  const targetUrl = need(values['target-base-url'], '--target-base-url');
  const targetDirectory = need(values['target-dir'], '--target-dir');
  makeFolder(targetDirectory);
  for (const name of names) await fetchTarget(session, name, targetUrl, targetDirectory);
}

try {
  await main();
} catch (error) {
  printError(error);
  process.exitCode = 1;
}
