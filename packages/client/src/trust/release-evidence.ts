/**
 * Gets the evidence for one release: fetches it as trusted metadata lists it, has `judgeRelease` judge it, and keeps it for a
 * device without a network. Anything thrown on the way is a refusal.
 */
import {
  bundleFile,
  judgeRelease,
  maximumBundleBytes,
  releasePaths,
  releaseTextsFormat,
  type CodesignAuthority,
  type Offer,
  type ReleaseTexts,
  type Revocations,
  type Statement,
  type Target,
} from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { readDocument, type OpenRepository } from './documents.ts';

/** A release as a channel or a generation names it. */
export type ReleaseReference = Pick<Offer, 'component' | 'version' | 'platform' | 'release'>;

export interface JudgedRelease {
  readonly statement: Statement;
  readonly statementBytes: Uint8Array;
  readonly texts: ReleaseTexts;
}

/** The documents by which a release is judged. */
export interface Judges {
  readonly codesign: CodesignAuthority;
  readonly revocations: Revocations;
}

/** A release's files as fetched, the TUF keys with a valid signature on its role at that time, and what that role lists now. */
export interface FetchedRelease {
  readonly bundles: Uint8Array;
  readonly texts: Uint8Array;
  readonly tufKeyIds: readonly string[];
  /** Null for kept evidence. */
  readonly listed: Readonly<Record<string, Target>> | null;
}

/**
 * Fetches the evidence as trusted metadata lists it now.
 * @throws TRUST_DOCUMENT TUF_* SOURCE_*
 */
export async function fetchEvidence(
  device: Device,
  repository: OpenRepository,
  offer: ReleaseReference,
): Promise<FetchedRelease> {
  const paths = releasePaths(offer.component, offer.version, offer.platform);
  const { bytes: bundles } = await readDocument(device, repository, paths.bundles, maximumBundleBytes);
  const { bytes: texts } = await readDocument(device, repository, paths.texts, releaseTextsFormat.maximumBytes);
  const role = repository.session.state.targets.get(`component-${offer.component}`);
  return { bundles, texts, tufKeyIds: role?.signers ?? [], listed: role?.signed.targets ?? {} };
}

/**
 * Judges evidence by the newest authority and revocations.
 * @throws RELEASE_REVOKED RELEASE_BELOW_MINIMUM CODESIGN_* RELEASE_* FORMAT_* OFFER_RELEASE TRUST_DOCUMENT DOWNLOAD_NOT_LISTED
 */
export function judgeEvidence(
  { release, ...name }: ReleaseReference,
  { bundles, texts, tufKeyIds, listed }: FetchedRelease,
  { codesign, revocations }: Judges,
): JudgedRelease {
  const evidence = { bundles: bundleFile(bundles), texts, signers: tufKeyIds, listed };
  return judgeRelease({ name, release, evidence, codesign, revocations });
}
