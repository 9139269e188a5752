/**
 * Finds what is on offer to this device: the channel's offers for its model and platform that have reached it, each judged by its
 * own signatures. A refused offer is recorded with its code and raises an alert; it never becomes a candidate. An offer that
 * cannot be fetched now is an error, not a refusal.
 */
import { Buffer } from 'node:buffer';
import {
  messageOf,
  blockedReason,
  codeOf,
  isEligible,
  offerFits,
  rolloutPosition,
  type Candidate,
  type Offer,
} from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import { readSetting } from '../device/settings.ts';
import type { OpenRepository } from './documents.ts';
import { keepRelease, readEvidence } from './kept-releases.ts';
import { isUnreached, type TrustDocuments } from './refresh.ts';
import { forgetRefusals, recordRefusal, type Refusal } from './refusals.ts';
import { fetchEvidence, judgeEvidence, type JudgedRelease, type FetchedRelease } from './release-evidence.ts';

export interface CurrentOffers {
  readonly candidates: readonly Candidate[];
  /** By release digest: the releases just judged good. */
  readonly judged: ReadonlyMap<string, JudgedRelease>;
  readonly refusals: readonly Refusal[];
}

/** Verdicts of this process, valid for exactly the same documents and evidence. */
interface Verdict {
  readonly codesign: object;
  readonly revocations: object;
  /** sha256 of the snapshot; null without a repository. */
  readonly snapshot: string | null;
  readonly judged: JudgedRelease;
}
const verdicts = new WeakMap<Device['database'], Map<string, Verdict>>();

/**
 * Judges every offer that is for this device now. With a `repository`: by what trusted metadata lists now. Without one (no
 * network): by the evidence that was good before, against the documents given. Records refusals and releases. The caller holds
 * the device lock.
 * @throws SOURCE_* where something has to be fetched and cannot be
 */
export async function currentOffers(
  device: Device,
  documents: TrustDocuments,
  repository: OpenRepository | null,
): Promise<CurrentOffers> {
  const candidates: Candidate[] = [];
  const judged = new Map<string, JudgedRelease>();
  const refusals: Refusal[] = [];
  for (const offer of offersHere(device, documents)) {
    const { component, version, release } = offer;
    const blocked = blockedReason(documents.channel, component, version);
    if (blocked !== undefined) {
      refusals.push({ release, component, version, code: 'RELEASE_BLOCKED', reason: blocked });
      continue;
    }
    try {
      const verdict = await judgeOffer(device, offer, documents, repository);
      if (verdict === null) continue;
      judged.set(release, verdict);
      const { manifest, terms } = verdict.statement.predicate;
      candidates.push({ offer, manifest, terms });
    } catch (error) {
      if (isUnreached(error)) throw error;
      const reason = messageOf(error);
      refusals.push({ release, component, version, code: codeOf(error) ?? 'INTERNAL', reason });
    }
  }
  for (const refusal of refusals) recordRefusal(device, refusal);
  forgetRefusals(device, [...judged.keys()]);
  return { candidates, judged, refusals };
}

/** The offers for this model and platform whose rollout has reached this device. */
function offersHere(device: Device, { channel }: TrustDocuments): Offer[] {
  const setting = (key: 'rolloutSeed' | 'model' | 'platform'): string => readSetting(device.database, key) ?? '';
  const seed = Buffer.from(setting('rolloutSeed'), 'hex');
  const now = device.clock();
  return channel.offers.filter(
    (offer) =>
      offerFits(offer, setting('model'), setting('platform')) &&
      isEligible(offer.rollout, rolloutPosition(seed, offer.release), now),
  );
}

/** Null if there is neither a network nor evidence. */
async function judgeOffer(
  device: Device,
  offer: Offer,
  { codesign, revocations }: TrustDocuments,
  repository: OpenRepository | null,
): Promise<JudgedRelease | null> {
  let cache = verdicts.get(device.database);
  if (cache === undefined) verdicts.set(device.database, (cache = new Map<string, Verdict>()));
  const state = repository?.session.state;
  const snapshot = state?.snapshot?.sha256 ?? null;
  // Under its whole name, because the same bytes under another name would be refused.
  const key = `${offer.component} ${offer.version} ${offer.platform} ${offer.release}`;
  const known = cache.get(key);
  // A role that expired is not in the state any more and has to be looked up again.
  const listed = state === undefined || state.targets.has(`component-${offer.component}`);
  if (known?.codesign === codesign && known.revocations === revocations && known.snapshot === snapshot && listed)
    return known.judged;
  const evidence: FetchedRelease | null =
    repository === null ? readEvidence(device, offer.release) : await fetchEvidence(device, repository, offer);
  if (evidence === null) return null;
  const judged = judgeEvidence(offer, evidence, { codesign, revocations });
  if (repository !== null) keepRelease(device, offer, judged, evidence);
  cache.set(key, { codesign, revocations, snapshot, judged });
  return judged;
}
