/**
 * Reads and seals the file in which a change travels between people. The file is not trusted. Its sha256 shows only that it
 * arrived undamaged, and lets two people check that they mean the same file. Its content is judged when it is imported.
 */
import {
  closed,
  canonicalBytes,
  codeOf,
  escapeText,
  format,
  KeyId,
  MapOf,
  openMetadata,
  readRoot,
  readTargets,
  Sha256,
  sha256,
} from '@countersign/protocol';
import Type, { type Static } from 'typebox';
import { readIfPresent } from '@countersign/protocol/node';
import { signerError } from '../workspace/errors.ts';
import type { RoleFile } from '../workspace/workspace.ts';

const maximumRoles = 1100;
const Base64 = Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$', maxLength: 24 << 20 });
const Roles = MapOf(Type.String({ pattern: '^[a-z][a-z0-9-]{0,80}$' }), Base64, { maxProperties: maximumRoles });
const Documents = Type.Array(
  Type.Object(
    {
      path: Type.String({
        pattern:
          '^([a-z]+/[a-z0-9-]{1,80}\\.jsonl?|components/[a-z][a-z0-9-]{0,62}/[0-9A-Za-z.-]{1,64}/[a-z0-9-]{1,20}\\.release\\.sigstore\\.jsonl)$',
      }),
      bytes: Base64,
    },
    closed,
  ),
  { maxItems: 5000 },
);
const Line = Type.Object(
  {
    payload: Base64,
    signatures: Type.Array(Type.Object({ keyid: KeyId, sig: Base64 }, closed), { maxItems: 32 }),
  },
  closed,
);

export const changeFileType = 'https://countersign.dev/signer/change/v1';
const ChangeFile = Type.Object(
  {
    _type: Type.Literal(changeFileType),
    /** Published metadata that the change starts from, by role, with its documents and, if known, root 1. */
    trusted: Roles,
    trustedDocuments: Documents,
    firstRoot: Type.Optional(Base64),
    /** The change: metadata by role with the signatures so far, and the documents that are new. */
    roles: Roles,
    documents: Documents,
    /** Authority versions that lack signatures. */
    lines: Type.Object({ codesign: Type.Optional(Line), devices: Type.Optional(Line) }, closed),
    /** sha256 of the RFC 8785 form of everything else. */
    sha256: Sha256,
  },
  closed,
);
export type ChangeFile = Static<typeof ChangeFile>;
export const changeFileFormat = format('exported change', ChangeFile, 128 << 20);

/** The change with its digest. */
export const sealChange = (change: Omit<ChangeFile, 'sha256'>): ChangeFile => ({
  ...change,
  sha256: sha256(canonicalBytes(change)),
});

/** @throws CHANGE_FILE */
export function readChangeFile(file: string): ChangeFile {
  const bytes = readIfPresent(file, changeFileFormat.maximumBytes);
  if (!bytes) throw signerError('CHANGE_FILE', `${file} is missing`);
  try {
    const { sha256: digest, ...change } = changeFileFormat.parse(bytes, file);
    if (sealChange(change).sha256 !== digest) throw new Error('its content is not what its sha256 says');
    return { ...change, sha256: digest };
  } catch (cause) {
    throw signerError('CHANGE_FILE', `${file} is refused: ${escapeText((cause as Error).message, 400)}`, { cause });
  }
}

/** A role's metadata from a file. @throws CHANGE_FILE */
export function readRoleText(role: string, text: string): RoleFile {
  try {
    const { signed, signatures } = openMetadata(Buffer.from(text, 'base64'), role);
    return { signed: role === 'root' ? readRoot(signed(), role) : readTargets(signed(), role), signatures };
  } catch (cause) {
    throw signerError('CHANGE_FILE', `${role} cannot be read: ${codeOf(cause) ?? ''} ${(cause as Error).message}`, {
      cause,
    });
  }
}
