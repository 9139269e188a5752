/**
 * Judges a published repository as a device would that starts from the shipped package: metadata by both verifiers, authorities,
 * revocations, and every release that a channel offers. Takes no file larger than a document.
 */
import {
  messageOf,
  authorityPath,
  channelFormat,
  checkChannel,
  checkNotRevoked,
  checkTwoPersons,
  codeOf,
  judgeRelease,
  readChain,
  readReleaseTexts,
  releasePaths,
  revocationsFormat,
  revocationsPath,
  type CodesignAuthority,
  type Offer,
  type Revocations,
} from '@countersign/protocol';
import { confirmTargets } from '@countersign/protocol/node';
import { signerError } from '../workspace/errors.ts';
import { readPublished, type PublishedState } from './published-state.ts';
import type { ShippedPackage } from './shipped-package.ts';

export interface VerifiedOffer {
  readonly channel: string;
  readonly component: string;
  readonly version: string;
  readonly platform: string;
  /** `good`, or the code that a device would show. */
  readonly verdict: string;
  readonly reason: string;
}

export interface Verification {
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly roles: Readonly<Record<string, { version: number; expires: string }>>;
  readonly offers: readonly VerifiedOffer[];
}

/** @throws VERIFY_REFUSED with the code that devices would show; SOURCE_* where the place cannot be reached */
export async function verifyRepository(place: string, shipped: ShippedPackage, now: Date): Promise<Verification> {
  try {
    return await judge(await readPublished(place, shipped, now), shipped);
  } catch (cause) {
    const code = codeOf(cause);
    if (
      code === 'VERIFY_REFUSED' ||
      code === 'SERVER_ADDRESS' ||
      code?.startsWith('SOURCE_') ||
      !(cause instanceof Error)
    )
      throw cause;
    throw signerError('VERIFY_REFUSED', `${code ?? 'error'}: ${cause.message}`, { cause });
  }
}

async function judge(state: PublishedState, shipped: ShippedPackage): Promise<Verification> {
  const { session, roles, documents } = state;
  const paths = [...roles.values()].flatMap(({ signed }) => Object.keys(signed.targets));
  await confirmTargets(session, paths);
  const codesign = readChain('codesign', documents.get(authorityPath('codesign'))!, shipped.codesign).body;
  readChain('devices', documents.get(authorityPath('devices'))!, shipped.devices);
  const revocations = revocationsFormat.parse(documents.get(revocationsPath)!, revocationsPath);
  const offers: VerifiedOffer[] = [];
  for (const [path, bytes] of documents) {
    if (!path.startsWith('channels/')) continue;
    const channel = channelFormat.parse(bytes, path);
    checkChannel(channel, path.slice('channels/'.length, -'.json'.length));
    for (const offer of channel.offers)
      offers.push(await judgeOffer(state, channel.channel, offer, codesign, revocations));
  }
  const { root, timestamp, snapshot, targets } = session.state;
  return {
    root: root.signed.version,
    timestamp: timestamp!.signed.version,
    snapshot: snapshot!.signed.version,
    roles: Object.fromEntries(
      [...targets].map(([name, { signed }]) => [name, { version: signed.version, expires: signed.expires }]),
    ),
    offers,
  };
}

async function judgeOffer(
  { roles, read }: PublishedState,
  channel: string,
  offer: Offer,
  codesign: CodesignAuthority,
  revocations: Revocations,
): Promise<VerifiedOffer> {
  const { component, version, platform, release } = offer;
  const name = { channel, component, version, platform };
  try {
    const role = roles.get(`component-${component}`);
    const paths = releasePaths(component, version, platform);
    checkNotRevoked(revocations, release, component, version);
    const bundles = await read(paths.bundles);
    const verdict = judgeRelease({
      bundles,
      authority: codesign,
      revocations,
      expected: { component, version, platform },
    });
    if (verdict.release !== release)
      throw signerError('VERIFY_REFUSED', 'it is another release than the channel names');
    checkTwoPersons(
      codesign,
      component,
      role?.signers ?? [],
      verdict.signatures.map(({ identity }) => identity),
    );
    for (const { name: path, digest, annotations } of verdict.statement.subject) {
      const target = role?.signed.targets[path];
      if (target?.hashes.sha256 !== digest.sha256 || target.length !== annotations.length)
        throw signerError('VERIFY_REFUSED', `${path} is not listed as it was code-signed`);
    }
    readReleaseTexts(verdict.statement, await read(paths.texts));
    return { ...name, verdict: 'good', reason: '' };
  } catch (error) {
    return {
      ...name,
      verdict: codeOf(error) ?? 'INTERNAL',
      reason: messageOf(error),
    };
  }
}
