/**
 * Asks both verifiers before anything of a plan is downloaded: over the same bytes from the shipped root, tuf-js must give the
 * core's answers for the plan's roles and targets. The verdict stands in the plan's row, so it is bound to the plan digest.
 */
import { authorityPath, channelPath, codeOf, releasePaths, revocationsPath } from '@countersign/protocol';
import { confirmTargets } from '@countersign/protocol/node';
import { clearAlert, raiseError } from '../device/alerts.ts';
import { requireLock, stagingFolder, type Device } from '../device/device.ts';
import { keepVerdict } from '../generations/plans.ts';
import type { TrustView } from '../trust/refresh.ts';
import type { DecidedInstall } from './decided-install.ts';

const verdictCodes = ['VERIFIERS_DISAGREE', 'VERIFIER_FAILED'] as const;

/**
 * Asks both verifiers about everything that the decided plan relies on. The caller holds the device lock and has just refreshed.
 * @throws VERIFIERS_DISAGREE VERIFIER_FAILED (alert raised, verdict kept), TUF_* SOURCE_*
 */
export async function confirmByBothVerifiers(device: Device, view: TrustView, decided: DecidedInstall): Promise<void> {
  requireLock(device);
  const { digest } = decided;
  try {
    await confirmTargets(view.session, pathsOf(view, decided), { scratchDirectory: stagingFolder(device) });
  } catch (error) {
    const code = codeOf(error);
    if (!verdictCodes.some((one) => one === code)) throw error;
    keepVerdict(device, digest, 'disagreed');
    raiseError(device, error, 'critical');
    throw error;
  }
  keepVerdict(device, digest, 'agreed');
  for (const code of verdictCodes) clearAlert(device, code);
}

function pathsOf({ channel }: TrustView, { statements }: DecidedInstall): string[] {
  const paths = [authorityPath('codesign'), authorityPath('devices'), revocationsPath, channelPath(channel.channel)];
  for (const { statement } of statements.values()) {
    const { name, version, platform } = statement.predicate.manifest;
    paths.push(releasePaths(name, version, platform).bundles, ...statement.subject.map((subject) => subject.name));
  }
  return paths;
}
