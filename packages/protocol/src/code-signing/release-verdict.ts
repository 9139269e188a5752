/**
 * One verdict over one release: everything that a device asks of it before it is offered or may run again. The device, the publication
 * gate and `countersign verify` call this same function, so where two things are wrong all three give the same code: that of the first
 * check here. Bytes and facts that TUF verified come in; the verdict goes out, or the refusal is thrown. Nothing is fetched.
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

/** What a release shows for itself, and what the verified role of its component says of it. */
export interface ReleaseEvidence {
  /** Its bundles, read when they are asked for: see `bundleFile`. */
  readonly bundles: () => ReleaseBundles;
  /** Its `<platform>.texts.json`. */
  readonly texts: Uint8Array;
  /** TUF keys whose signatures on the component's role hold. */
  readonly signers: readonly string[];
  /** What that role lists. Null for evidence that was judged good before: what it names was listed then, and may be withdrawn since. */
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
 * Judges a release by what it shows. The order of the checks is part of the contract: it decides which code is given.
 * @throws RELEASE_REVOKED RELEASE_BELOW_MINIMUM CODESIGN_* RELEASE_STATEMENT RELEASE_MANIFEST OFFER_RELEASE RELEASE_TEXTS FORMAT_*
 *   TRUST_DOCUMENT (a file is not listed) DOWNLOAD_NOT_LISTED (or with another length or digest)
 */
export function judgeRelease({ name, release, evidence, codesign, revocations }: ReleaseInput): ReleaseVerdict {
  const { component, version } = name;
  // Who names a release needs none of its bytes to know that it is revoked.
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

/** What is approved can only be what is fetched: the file is listed exactly as it was code-signed. */
function checkListed({ name, digest, annotations }: Subject, listed: Readonly<Record<string, Target>>): void {
  const target = Object.hasOwn(listed, name) ? listed[name] : undefined;
  if (target === undefined) throw releaseError('TRUST_DOCUMENT', `trusted metadata does not list ${escapeText(name)}`);
  if (target.hashes.sha256 !== digest.sha256 || target.length !== annotations.length)
    throw releaseError('DOWNLOAD_NOT_LISTED', `${name} is not listed with the length and digest that were code-signed`);
}
