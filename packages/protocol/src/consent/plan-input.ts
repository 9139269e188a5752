/** The input from which a plan is computed: what runs and is granted here, what is on offer, and what is forbidden. */
import type { Offer } from '../channel/channel.ts';
import type { Revocations } from '../channel/revocations.ts';
import type { Capability, Manifest } from '../release/manifest.ts';
import type { Denial, Grant } from './capability-diff.ts';
import type { Plan } from './plan.ts';

/** A component as the current generation has it. */
export interface RunningComponent {
  readonly component: string;
  readonly version: string;
  readonly platform: Manifest['platform'];
  readonly release: string;
  readonly manifest: Manifest;
}

/** An offer that fits this device, has reached it, and whose statement was verified. */
export interface Candidate {
  readonly offer: Offer;
  readonly manifest: Manifest;
  /** sha256 of the terms by language; empty where the release has none. */
  readonly terms: Readonly<Record<string, string>>;
}

/** Why an offer, or a request, is not in the plan. */
export interface Omission {
  readonly component: string;
  readonly version: string;
  /** RELEASE_REVOKED, RELEASE_BELOW_MINIMUM, RELEASE_BLOCKED, RELEASE_QUARANTINED, PLAN_DOWNGRADE, PLAN_MODEL, PLAN_SAME_VERSION, PLAN_REQUIRED_DENIED, PLAN_REQUIRES, PLAN_NOT_INSTALLED, PLAN_NOTHING_TO_ASK */
  readonly code: string;
  readonly reason: string;
}

export interface PlanInput {
  /** The device's id. */
  readonly device: string;
  readonly model: string;
  /** 0 if nothing was ever installed. */
  readonly generation: number;
  readonly installed: readonly RunningComponent[];
  /** The latest decision about each capability. */
  readonly grants: readonly Grant[];
  readonly candidates: readonly Candidate[];
  readonly highestCommitted: Readonly<Record<string, string>>;
  /** Releases that failed here. */
  readonly quarantined: ReadonlySet<string>;
  readonly revocations: Revocations;
  /** The channel's reason, where it blocks the version. */
  readonly blockedReason: (component: string, version: string) => string | undefined;
  /** Vendor and site policy together. */
  readonly denialOf: (component: string, capability: Capability) => Denial | undefined;
  readonly approvers: Plan['approvers'];
  /** Whether this version of the terms was accepted. */
  readonly accepted: (component: string, version: string) => boolean;
  /** If present, the plan asks for these capabilities of installed components and nothing else. */
  readonly requests?: readonly { readonly component: string; readonly capability: string }[];
  /** If present, the plan removes these components and does nothing else. */
  readonly removals?: readonly string[];
}
