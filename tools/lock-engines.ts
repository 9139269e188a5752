/**
 * `node tools/lock-engines.ts`: takes the packages' `engines` out of package-lock.json, where npm writes them.
 *
 * `npm ci` reads them only to warn that the Node which runs npm is too old for a package. Here that says nothing: the packages run
 * under the Node that npm brings. Whether they can, test/tidy/engines.test.ts asks the packages themselves.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const file = join(import.meta.dirname, '../package-lock.json');
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, { engines?: object }> };
// The first entry, '', is the project itself.
for (const [name, entry] of Object.entries(lock.packages)) if (name !== '') delete entry.engines;
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
