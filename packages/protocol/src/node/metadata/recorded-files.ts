/** Turns what a session trusts into files again, for a second verifier, which must judge exactly the same bytes. */
import { metadataFileName } from '../../tuf/metadata.ts';
import type { MetadataSession } from './metadata-client.ts';

/**
 * Every file that leads from the shipped root to what is trusted now, under its name in the repository: what a second verifier
 * needs to judge for itself. @throws TUF_MISSING where the store lost a root
 */
export async function recordedFiles({ state, options }: MetadataSession): Promise<Map<string, Uint8Array>> {
  const { root, timestamp, snapshot } = state;
  const files = new Map<string, Uint8Array>();
  const version = (number: number): number | undefined => (root.signed.consistent_snapshot ? number : undefined);
  for (let number = root.signed.version; number > 0; number--) {
    const bytes = number === root.signed.version ? root.bytes : await options.store.readRoot(number);
    if (bytes !== undefined) files.set(metadataFileName('root', number), bytes);
  }
  if (timestamp) files.set('timestamp.json', timestamp.bytes);
  if (snapshot) files.set(metadataFileName('snapshot', version(snapshot.signed.version)), snapshot.bytes);
  for (const [role, { signed, bytes }] of state.targets)
    files.set(metadataFileName(role, version(signed.version)), bytes);
  return files;
}
