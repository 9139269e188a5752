/**
 * One offered release, from the bundles that its component's role lists to a verdict: who signed the code, that at least two persons
 * stand behind it, that the statement names exactly what the trusted metadata lists, and that the texts are the signed ones.
 * Anything that throws on the way is a refusal.
 */
import {
  checkNotRevoked,
  checkTwoPersons,
  judgeRelease,
  readReleaseTexts,
  releasePaths,
  type CodesignAuthority,
  type Offer,
  type ReleaseTexts,
  type Revocations,
  type Statement,
} from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { findDocument, readDocument, type DocumentSource } from './documents.ts';
import { trustError } from './trust-errors.ts';

/** A release as a channel or a generation names it. */
export type ReleaseReference = Pick<Offer, 'component' | 'version' | 'platform' | 'release'>;

export interface JudgedRelease {
  readonly statement: Statement;
  readonly statementBytes: Uint8Array;
  readonly texts: ReleaseTexts;
}

/** What a release is judged against. */
export interface Judges {
  readonly codesign: CodesignAuthority;
  readonly revocations: Revocations;
}

/** A release's files as they were fetched, and the TUF keys whose signatures on its role were good then. */
export interface ReleaseEvidence {
  readonly bundles: Uint8Array;
  readonly texts: Uint8Array;
  readonly tufKeyIds: readonly string[];
}

const maximumBundles = 1 << 20;
const maximumTexts = 2 << 20;

/**
 * The evidence as trusted metadata has it now; every file of the release must be listed as the statement will say.
 * @throws TRUST_DOCUMENT TUF_* SOURCE_*
 */
export async function fetchEvidence(
  device: Device,
  source: DocumentSource,
  offer: ReleaseReference,
): Promise<ReleaseEvidence> {
  const paths = releasePaths(offer.component, offer.version, offer.platform);
  const { bytes: bundles } = await readDocument(device, source, paths.bundles, maximumBundles);
  const { bytes: texts } = await readDocument(device, source, paths.texts, maximumTexts);
  const role = source.session.state.targets.get(`component-${offer.component}`);
  return { bundles, texts, tufKeyIds: role?.signers ?? [] };
}

/**
 * Judges it, by the newest authority and revocations.
 * @throws RELEASE_REVOKED RELEASE_BELOW_MINIMUM CODESIGN_* RELEASE_* FORMAT_* OFFER_RELEASE
 */
export function judgeEvidence(
  offer: ReleaseReference,
  evidence: ReleaseEvidence,
  { codesign, revocations }: Judges,
): JudgedRelease {
  const { component, version, platform, release } = offer;
  checkNotRevoked(revocations, release, component, version);
  const expected = { component, version, platform };
  const verdict = judgeRelease({ bundles: evidence.bundles, authority: codesign, revocations, expected });
  if (verdict.release !== release)
    throw trustError('OFFER_RELEASE', `what is signed of ${component} ${version} is not the release in the channel`);
  const identities = verdict.signatures.map(({ identity }) => identity);
  checkTwoPersons(codesign, component, evidence.tufKeyIds, identities);
  const texts = readReleaseTexts(verdict.statement, evidence.texts);
  return { statement: verdict.statement, statementBytes: verdict.statementBytes, texts };
}

/**
 * Holds every file that the statement names to what trusted metadata lists, so that what is approved can only be what is fetched.
 * @throws DOWNLOAD_NOT_LISTED TRUST_DOCUMENT TUF_* SOURCE_*
 */
export async function checkListed({ session }: DocumentSource, { statement }: JudgedRelease): Promise<void> {
  for (const { name, digest, annotations } of statement.subject) {
    const target = await findDocument(session, name);
    if (target.sha256 !== digest.sha256 || target.length !== annotations.length)
      throw trustError('DOWNLOAD_NOT_LISTED', `${name} is not listed with the length and digest that were code-signed`);
  }
}
