/**
 * Reads drafts of the two authorities, as people write them: the body without `_type`, `version` and `issued`. The name of a key
 * may stand for the key or its id. `{"file": "…"}` (in the draft's folder) stands for a document from somebody else, and PEM
 * files for what follows from certificates.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import {
  codeOf,
  keyIdOf,
  parseJson,
  readTrustMaterial,
  type AuthorityBodies,
  type AuthorityKind,
  type PublicKey,
} from '@countersign/protocol';
import { identityOf, trustedRootOf } from '../keys/certificate-files.ts';
import { readPublicKey } from '../keys/key-uris.ts';
import { signerError } from '../workspace/errors.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { expiryOf } from './change-edits.ts';

const maximumDraft = 4 << 20;
type Json = Record<string, unknown>;

/** The body from the draft; its rules are checked when it is proposed. @throws DRAFT KEY_* CODESIGN_TRUST */
export function readDraft<K extends AuthorityKind>(
  workspace: Workspace,
  kind: K,
  file: string,
): Omit<AuthorityBodies[K], 'version' | 'issued' | '_type'> {
  const draft = readJson(file);
  const { _type: _, version: __, issued: ___, ...body } = draft;
  const keyOf = (name: unknown): PublicKey => {
    if (typeof name !== 'string')
      throw signerError('DRAFT', `${file}: the name of a key is expected, found ${typeof name}`);
    return readPublicKey(workspace.directory, name);
  };
  const signers = asObject(body.signers, file, 'signers');
  if (Array.isArray(signers.keys))
    signers.keys = Object.fromEntries(signers.keys.map((name: unknown) => [keyIdOf(keyOf(name)), keyOf(name)]));
  body.signers = signers;
  if (kind === 'codesign') resolveCodesign(body, file, keyOf);
  else body.expires ??= expiryOf('devices', new Date());
  return body as unknown as Omit<AuthorityBodies[K], 'version' | 'issued' | '_type'>;
}

function resolveCodesign(body: Json, file: string, keyOf: (name: unknown) => PublicKey): void {
  const path = (name: string): string => resolve(dirname(file), name);
  const beside = (name: string): Json => readJson(path(name));
  const authorities = asObject(body.authorities ?? {}, file, 'authorities');
  for (const [name, authority] of Object.entries(authorities) as [string, Json][]) {
    const root = authority.trustedRoot as Json | undefined;
    if (typeof root?.file === 'string') authority.trustedRoot = beside(root.file);
    if (typeof root?.codeSigning === 'string' && typeof root.timeStamping === 'string')
      authority.trustedRoot = trustedRootOf(path(root.codeSigning), path(root.timeStamping));
    // A device that cannot read the root would refuse every signature.
    readTrustMaterial(authority.trustedRoot, `authority ${name}`);
  }
  const identities = asObject(body.identities ?? {}, file, 'identities');
  for (const [id, value] of Object.entries(identities)) {
    const { file: other, certificate, ...identity } = value as Json & { file?: string; certificate?: unknown };
    if (other !== undefined) Object.assign(identity, beside(other));
    if (typeof certificate === 'string') Object.assign(identity, identityOf(path(certificate)));
    if (typeof identity.publicKey === 'string') identity.publicKey = keyOf(identity.publicKey);
    identities[id] = identity;
  }
  const persons = asObject(body.persons ?? {}, file, 'persons');
  for (const person of Object.values(persons) as { keys?: unknown[] }[])
    person.keys = (person.keys ?? []).map((name) =>
      /^[0-9a-f]{64}$/.test(String(name)) ? name : keyIdOf(keyOf(name)),
    );
  Object.assign(body, { authorities, identities, persons });
}

function readJson(file: string): Json {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw signerError('DRAFT', `${file} cannot be read: ${codeOf(cause) ?? 'failed'}`, { cause });
  }
  try {
    return asObject(parseJson(bytes, file, maximumDraft), file, 'the draft');
  } catch (cause) {
    if (codeOf(cause) === 'DRAFT') throw cause;
    throw signerError('DRAFT', `${file} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

function asObject(value: unknown, file: string, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw signerError('DRAFT', `${file}: ${what} is no object`);
  return { ...value } as Json;
}
