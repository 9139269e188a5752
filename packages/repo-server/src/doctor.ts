/** What is wrong with a server's folder, each with how to mend it. Reads only; works beside a running server. */
import { existsSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { serverError } from './errors.ts';
import { readOnlineKeys } from './online-keys.ts';
import { PublishedMetadata } from './published-metadata.ts';
import { readReadiness } from './readiness.ts';
import { DirectoryStore } from './repository-stores/directory.ts';
import { Repository } from './repository.ts';
import { stateFolder } from './server.ts';

export interface Diagnosis {
  readonly what: string;
  readonly mend: string;
}

const littleSpace = 1 << 30;

/** @throws SERVER_MISSING */
export async function diagnose(directory: string, now: Date): Promise<Diagnosis[]> {
  const state = stateFolder(directory);
  if (!existsSync(state)) throw serverError('SERVER_MISSING', `${directory} holds no server`);
  const findings: Diagnosis[] = [];
  const keys = readOnlineKeys(state);
  const secret = statSync(join(state, 'online-keys.secret.json'));
  if (process.platform !== 'win32' && (secret.mode & 0o077) !== 0)
    findings.push({
      what: 'the online keys can be read by other accounts',
      mend: `chmod 600 ${join(state, 'online-keys.secret.json')}`,
    });
  for (const name of ['root.json', 'codesign.jsonl', 'devices.jsonl'])
    if (!existsSync(join(state, name)))
      findings.push({
        what: `the server was never given ${name}`,
        mend: 'start it once with --root, --codesign and --devices',
      });
  const { bavail, bsize } = statfsSync(directory);
  if (bavail * bsize < littleSpace)
    findings.push({
      what: `only ${Math.round((bavail * bsize) / 2 ** 20)} MiB are free`,
      mend: 'free space, or move the repository to a larger disk',
    });
  const store = new DirectoryStore(directory);
  const metadata = new PublishedMetadata();
  await metadata.load(store);
  const repository = new Repository(store, metadata, keys, () => now);
  const current = await repository.current();
  for (const role of ['snapshot', 'timestamp'] as const)
    if (current && !current.root.roles[role].keyids.includes(keys[role].keyid))
      findings.push({
        what: `root ${current.root.version} does not name this server’s ${role} key`,
        mend: 'publish a root that names the keys of this server, or restore the server’s key file',
      });
  for (const { what, who } of (await readReadiness(repository, false, now, null)).findings)
    findings.push({ what, mend: `the ${who} must act` });
  return findings;
}
