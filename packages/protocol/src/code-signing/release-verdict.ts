/**
 * The one verdict over a release: every check that it must pass before a device offers it or runs it again. The device, the
 * publication gate and `countersign verify` call this same function. Where two things are wrong, all three therefore give the
 * same code: that of the first check here. Takes bytes and facts that TUF verified; returns the verdict or throws the refusal.
 * Fetches nothing.
 */
import type { CodesignAuthority } from '../authority/authority.ts';
import { checkNotRevoked, type Revocations } from '../channel/revocations.ts';
import { releaseError } from '../release/release-errors.ts';
import { readReleaseTexts, type ReleaseName, type ReleaseTexts, type Subject } from '../release/statement.ts';
import { escapeText, sha256 } from '../text.ts';
import type { Target } from '../tuf/metadata.ts';
import type { ReleaseBundles } from './bundles.ts';
import { judgeSignatures, type SignedStatement } from './code-signature.ts';
import { checkTwoPersons } from './persons.ts';

/** The files that prove a release, and what the verified role of its component says of it. */
export interface ReleaseEvidence {
  /** Its bundles, read on first use: see `bundleFile`. */
  readonly bundles: () => ReleaseBundles;
  /** Its `<platform>.texts.json`. */
  readonly texts: Uint8Array;
  /** TUF keys with a valid signature on the component's role. */
  readonly signers: readonly string[];
  /**
   * What that role lists. Null for evidence that was judged good earlier: its files were listed then, and may have been withdrawn
   * since.
   */
  readonly listed: Readonly<Record<string, Target>> | null;
}

export interface ReleaseInput {
  readonly name: ReleaseName;
  /** The sha256 of the statement as a channel or a generation names it; null where nothing names the release yet. */
  readonly release: string | null;
  readonly evidence: ReleaseEvidence;
  readonly codesign: CodesignAuthority;
  readonly revocations: Revocations;
}

export interface ReleaseVerdict extends SignedStatement {
  readonly texts: ReleaseTexts;
}

/**
 * Judges a release by its evidence. The order of the checks is part of the contract: it decides which code is given.
 * @throws RELEASE_REVOKED RELEASE_BELOW_MINIMUM CODESIGN_* RELEASE_STATEMENT RELEASE_MANIFEST OFFER_RELEASE RELEASE_TEXTS FORMAT_*
 *   TRUST_DOCUMENT (a file is not listed) DOWNLOAD_NOT_LISTED (or with another length or digest)
 */
export function judgeRelease({ name, release, evidence, codesign, revocations }: ReleaseInput): ReleaseVerdict {
  const { component, version } = name;
  // The name of a release is enough to know that it is revoked; its bytes are not needed.
  if (release !== null) checkNotRevoked(revocations, release, component, version);
  const bundles = evidence.bundles();
  if (release === null) checkNotRevoked(revocations, sha256(bundles[0].statement), component, version);
  const signed = judgeSignatures({ bundles, authority: codesign, revocations, expected: name });
  if (release !== null && signed.release !== release)
    throw releaseError('OFFER_RELEASE', `what is signed of ${component} ${version} is not the release in the channel`);
  const identities = signed.signatures.map(({ identity }) => identity);
  checkTwoPersons(codesign, component, evidence.signers, identities);
  const texts = readReleaseTexts(signed.statement, evidence.texts);
  if (evidence.listed !== null) for (const subject of signed.statement.subject) checkListed(subject, evidence.listed);
  return { ...signed, texts };
}

/** The file must be listed exactly as it was code-signed, so that what is fetched is what was approved. */
function checkListed({ name, digest, annotations }: Subject, listed: Readonly<Record<string, Target>>): void {
  const target = Object.hasOwn(listed, name) ? listed[name] : undefined;
  if (target === undefined) throw releaseError('TRUST_DOCUMENT', `trusted metadata does not list ${escapeText(name)}`);
  if (target.hashes.sha256 !== digest.sha256 || target.length !== annotations.length)
    throw releaseError('DOWNLOAD_NOT_LISTED', `${name} is not listed with the length and digest that were code-signed`);
}
