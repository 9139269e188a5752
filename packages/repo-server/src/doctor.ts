/** Finds what is wrong with a server's folder, and how to repair each finding. Reads only; works while a server runs. */
import { existsSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { shippedFiles } from '@countersign/protocol/node';
import { type Check } from '@countersign/protocol/terminal';
import { serverError } from './errors.ts';
import { readOnlineKeys } from './online-keys.ts';
import { PublishedMetadata } from './published-metadata.ts';
import { readReadiness } from './readiness.ts';
import type { RepositoryStore } from './repository-store.ts';
import { Repository } from './repository.ts';
import { stateFolder } from './state-folder.ts';

const littleSpace = 1 << 30;

/** In the order in which findings should be repaired. @throws SERVER_MISSING */
export function serverChecks(directory: string, open: (directory: string) => RepositoryStore, now: Date): Check[] {
  const state = stateFolder(directory);
  if (!existsSync(state)) throw serverError('SERVER_MISSING', `${directory} holds no server`);
  const secret = join(state, 'online-keys.secret.json');
  const published = async (): Promise<Repository> => {
    const store = open(directory);
    const metadata = new PublishedMetadata();
    await metadata.load(store);
    return new Repository(store, metadata, readOnlineKeys(state), () => now);
  };
  return [
    ({ add }) => {
      readOnlineKeys(state);
      if (process.platform !== 'win32' && (statSync(secret).mode & 0o077) !== 0)
        add('ONLINE_KEYS_OPEN', 'the online keys can be read by other accounts', `chmod 600 ${secret}`);
    },
    ({ add }) => {
      for (const name of Object.values(shippedFiles))
        if (!existsSync(join(state, name)))
          add(
            'PACKAGE_MISSING',
            `the server was never given ${name}`,
            'start it once with --root, --codesign and --devices',
          );
    },
    ({ add }) => {
      const { bavail, bsize } = statfsSync(directory);
      if (bavail * bsize < littleSpace)
        add(
          'DISK_LOW',
          `only ${Math.round((bavail * bsize) / 2 ** 20)} MiB are free`,
          'free space, or move the repository to a larger disk',
        );
    },
    async ({ add }) => {
      const current = await (await published()).current();
      const keys = readOnlineKeys(state);
      for (const role of ['snapshot', 'timestamp'] as const)
        if (current && !current.root.roles[role].keyids.includes(keys[role].keyid))
          add(
            'ONLINE_KEY_UNKNOWN',
            `root ${current.root.version} does not name this server’s ${role} key`,
            'publish a root that names the keys of this server, or restore the server’s key file',
          );
    },
    async ({ add }) => {
      const { findings } = await readReadiness(await published(), false, now, null);
      for (const { code, what, who } of findings) add(code, what, `the ${who} must act`);
    },
  ];
}
