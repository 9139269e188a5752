/**
 * Checks whether an older generation may run again: judges its releases again by the newest authority and revocations available.
 * What was revoked, fell below the minimum or needs what is now denied does not come back, not even by hand.
 */
import { checkNotRevoked, releaseError } from '@countersign/protocol';
import type { Device } from '../device/device.ts';
import type { Generation, InstalledComponent } from '../generations/generations.ts';
import { readEvidence } from '../trust/kept-releases.ts';
import { denials } from '../trust/policy.ts';
import { isUnreached, lastDocuments, refreshTrust, type TrustDocuments } from '../trust/refresh.ts';
import { judgeEvidence } from '../trust/release-evidence.ts';
import { trustError } from '../trust/trust-errors.ts';

/**
 * For `rollback`. Refreshes if a server answers. The caller holds the device lock.
 * @throws RELEASE_REVOKED RELEASE_BELOW_MINIMUM CODESIGN_* ROLLBACK_DENIED TRUST_DOCUMENT, and what a refused refresh throws
 */
export async function checkRollback(device: Device, target: Generation): Promise<void> {
  const documents = await newestDocuments(device);
  const denialOf = denials(device);
  for (const installed of target.components) {
    checkRelease(device, installed, documents);
    for (const capability of installed.manifest.capabilities) {
      const denial = capability.required ? denialOf(installed.component, capability) : undefined;
      if (denial)
        throw trustError(
          'ROLLBACK_DENIED',
          `${installed.component} ${installed.version} needs ${capability.id}: ${denial.reason}`,
        );
    }
  }
}

async function newestDocuments(device: Device): Promise<TrustDocuments> {
  try {
    return await refreshTrust(device);
  } catch (error) {
    const last = isUnreached(error) ? lastDocuments(device) : null;
    if (last === null) throw error;
    return last;
  }
}

/** A release that runs now was judged when it arrived; this finds what was revoked since. */
function checkRelease(device: Device, installed: InstalledComponent, documents: TrustDocuments): void {
  const { component, version, platform, release } = installed;
  checkNotRevoked(documents.revocations, release, component, version);
  const evidence = readEvidence(device, release);
  if (evidence === null)
    throw releaseError('TRUST_DOCUMENT', `nothing is kept of the signatures of ${component} ${version}`);
  judgeEvidence({ component, version, platform, release }, evidence, documents);
}
