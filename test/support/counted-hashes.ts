/** Counts what `createHash` hashes, by its text, from the loading of this module on; for a test file that runs by itself. */
import { Buffer } from 'node:buffer';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const hashed: string[] = [];
const original = crypto.createHash;
crypto.createHash = ((algorithm: string) => {
  const hash = original(algorithm);
  const update = hash.update.bind(hash);
  hash.update = (data: string | NodeJS.ArrayBufferView) => {
    hashed.push(
      typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString(),
    );
    return update(data as string);
  };
  return hash;
}) as typeof crypto.createHash;
// Modules that imported it by name then have the counting one too.
syncBuiltinESMExports();

/** Forgets what was counted. */
export const forgetHashes = (): void => void hashed.splice(0);

/** How often each file was hashed since the last time, by its name; then forgets. */
export function countHashes(files: Iterable<readonly [name: string, bytes: Uint8Array]>): Record<string, number> {
  const counted = [...files].map(([name, bytes]) => {
    const text = Buffer.from(bytes).toString();
    return [name, hashed.filter((one) => one === text).length] as const;
  });
  forgetHashes();
  return Object.fromEntries(counted);
}
