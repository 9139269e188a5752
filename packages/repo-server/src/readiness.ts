/**
 * Reports whether the repository is healthy: what expires when, and who must act. Green, amber (act soon) or red (devices refuse,
 * or will within a day).
 */
import { openMetadata, metadataFileName } from '@countersign/protocol';
import type { Repository } from './repository.ts';

export type Colour = 'green' | 'amber' | 'red';

export interface Concern {
  readonly code: 'NOTHING_PUBLISHED' | 'ROLE_MISSING' | 'ROLE_EXPIRED' | 'ROLE_EXPIRES' | 'RENEWAL_FAILED';
  readonly colour: Colour;
  readonly what: string;
  /** Who must repair it. */
  readonly who: 'operator' | 'key holders' | 'release management' | 'security team' | 'component team';
}

export interface Readiness {
  readonly colour: Colour;
  readonly scanned: boolean;
  readonly findings: readonly Concern[];
  readonly expires: Readonly<Record<string, string>>;
}

const day = 24 * 3_600_000;
/** Days before expiry from which on a role is amber, then red. Online roles renew themselves, so these only show failures. */
const notice: Record<string, readonly [amber: number, red: number]> = {
  timestamp: [0.4, 0.1],
  snapshot: [3, 1],
  revocations: [10, 2],
  channels: [21, 5],
};
const usual: readonly [amber: number, red: number] = [60, 14];
const owners: Record<string, Concern['who']> = {
  root: 'key holders',
  targets: 'key holders',
  authority: 'key holders',
  revocations: 'security team',
  channels: 'release management',
  snapshot: 'operator',
  timestamp: 'operator',
};

/** Reads what is published without verifying it: the gate did that. */
export async function readReadiness(
  repository: Repository,
  scanned: boolean,
  now: Date,
  renewalFailure: string | null,
): Promise<Readiness> {
  const findings: Concern[] = [];
  const expires: Record<string, string> = {};
  const current = await repository.current();
  if (!current)
    findings.push({ code: 'NOTHING_PUBLISHED', colour: 'red', what: 'nothing is published yet', who: 'key holders' });
  else {
    expires.root = current.root.expires;
    expires.timestamp = current.timestamp.expires;
    expires.snapshot = current.snapshot.expires;
    for (const [name, { version }] of Object.entries(current.snapshot.meta)) {
      const role = name.replace(/\.json$/, '');
      const file = repository.metadata.get(metadataFileName(role, version));
      if (file) expires[role] = (openMetadata(file.bytes, role).signed() as { expires: string }).expires;
      else
        findings.push({
          code: 'ROLE_MISSING',
          colour: 'red',
          what: `the metadata of role ${role} is missing`,
          who: 'operator',
        });
    }
  }
  for (const [role, time] of Object.entries(expires)) {
    const left = (Date.parse(time) - now.getTime()) / day;
    const [amber, red] = notice[role] ?? usual;
    const who = owners[role] ?? 'component team';
    if (left <= 0) findings.push({ code: 'ROLE_EXPIRED', colour: 'red', what: `role ${role} expired on ${time}`, who });
    else if (left < amber)
      findings.push({
        code: 'ROLE_EXPIRES',
        colour: left < red ? 'red' : 'amber',
        what: `role ${role} expires on ${time}`,
        who,
      });
  }
  if (renewalFailure !== null)
    findings.push({
      code: 'RENEWAL_FAILED',
      colour: 'red',
      what: `renewing the online roles fails: ${renewalFailure}`,
      who: 'operator',
    });
  const colour = findings.some((finding) => finding.colour === 'red') ? 'red' : findings.length > 0 ? 'amber' : 'green';
  return { colour, scanned, findings, expires };
}
