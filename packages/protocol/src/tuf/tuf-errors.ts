/** Error codes of the TUF core and of the client workflow around it. */
import { errorsOf } from '../error.ts';

export const tufErrorTable = {
  TUF_FORMAT: {
    meaning: 'Metadata is not what the TUF specification says: not JSON, a field missing or of the wrong kind.',
    hint: 'the repository or something on the way serves damaged metadata; nothing was accepted',
  },
  TUF_SIGNATURE: {
    meaning: 'Metadata is not signed by enough of the keys that its delegator trusts.',
    hint: 'see who signed with countersign status; a client race on a key rotation passes by itself',
  },
  TUF_VERSION: {
    meaning: 'Metadata has another version than the one that was asked for.',
    hint: 'the repository serves a file under the wrong name; publish it again',
  },
  TUF_ROLLBACK: {
    meaning: 'Metadata is older than what was accepted before, or a role vanished from snapshot.',
    hint: 'the server offers an old state: an attack, or a repository restored from a backup',
  },
  TUF_EXPIRED: {
    meaning: 'Metadata is past its expiry.',
    hint: 'the repository must sign it again; if this clock is wrong, set it',
  },
  TUF_HASH: {
    meaning: 'Bytes differ in length or digest from what signed metadata says.',
    hint: 'the repository or something on the way changed the file; nothing was accepted',
  },
  TUF_MISSING: {
    meaning: 'The repository lacks metadata that it must have.',
    hint: 'the publication is incomplete; publish again, or try another server',
  },
  TUF_DELEGATION: {
    meaning: 'A role was asked for that its delegator does not delegate to.',
    hint: 'nothing valid leads there',
  },
  TUF_LIMIT: {
    meaning: 'A search for a target visited as many roles as it may.',
    hint: 'the delegations are deeper than any sensible repository; see countersign status',
  },
  TUF_PROFILE: {
    meaning: "Metadata is valid TUF but outside Countersign's stricter profile.",
    hint: 'let the signer write the metadata; do not edit it by hand',
  },
  TUF_ROOT_CHANGED: {
    meaning: 'A version of root differs from the one that was accepted under the same number before.',
    hint: 'two different roots were signed for one version: treat the root keys as stolen until it is explained',
  },
} as const;

export const tufError = errorsOf(tufErrorTable);
