/** Error codes for wrong content of a release, an authority chain, a channel or a revocation list. */
import { errorsOf } from '../error.ts';

export const releaseErrorTable = {
  RELEASE_MANIFEST: {
    meaning:
      'A component manifest breaks a rule that its schema cannot state, such as a hook outside the base or a hidden character.',
    hint: 'correct component.json where the message points, then pack again',
  },
  RELEASE_STATEMENT: {
    meaning: 'A release statement does not name exactly the files of its release.',
    hint: 'pack and sign the release again; do not edit a statement',
  },
  RELEASE_TEXTS: {
    meaning: 'Notes or terms differ from the digests that were signed.',
    hint: 'the published texts were changed or damaged; publish the release again as it was signed',
  },
  AUTHORITY_CHAIN: {
    meaning: 'A line of an authority chain is malformed, out of order, or not signed as the version before it demands.',
    hint: 'the chain was built wrongly or tampered with; have the holders of the named keys sign the version',
  },
  AUTHORITY_ROLLBACK: {
    meaning: 'An authority chain is shorter than one that was already accepted.',
    hint: 'the repository offers old state; publish the whole chain again',
  },
  AUTHORITY_FORK: {
    meaning: 'An authority chain differs from one that was already accepted.',
    hint: 'two different chains were signed; treat the keys of this chain as stolen until it is explained',
  },
  AUTHORITY_BODY: {
    meaning: 'The body of an authority version contradicts itself, such as a key of two persons.',
    hint: 'correct the body and have it signed as a new version',
  },
  CHANNEL_RULES: {
    meaning: 'A channel contradicts itself, such as one release offered twice.',
    hint: 'correct the channel with countersign channel and publish it again',
  },
  RELEASE_REVOKED: {
    meaning: 'The release stands in the signed list of revocations.',
    hint: 'install another version; the reason is in the message',
  },
  RELEASE_BELOW_MINIMUM: {
    meaning: 'The version is below the minimum that the vendor still allows.',
    hint: 'install a newer version',
  },
  TRUST_DOCUMENT: {
    meaning:
      'A signed document (channel, revocations, authority chain, release) is missing from the trusted metadata, or not what the metadata says.',
    hint: 'the publication is incomplete or was tampered with; the device keeps what it had',
  },
  OFFER_RELEASE: {
    meaning: 'The release that is signed and published is not the one whose digest the channel names.',
    hint: 'the publication is inconsistent or hostile; the vendor offers the release again',
  },
  DOWNLOAD_NOT_LISTED: {
    meaning:
      'An archive of the plan is not in the trusted metadata, or not with the length and digest that were code-signed.',
    hint: 'the publication is incomplete or was tampered with; nothing is downloaded',
  },
} as const;

export const releaseError = errorsOf(releaseErrorTable);
