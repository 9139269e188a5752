/**
 * Rollout: signed, and evaluated on the device. Each device stands at a position in [0, 2^32) that only it knows; a release
 * reaches it when the share that is eligible has grown past it. Exact: whole numbers throughout, so every implementation agrees
 * (fixtures/vectors/rollout.json).
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Rollout } from './channel.ts';

const domain = Buffer.from('countersign/rollout/v1\0', 'utf8');
const whole = 2n ** 32n;
const millisecondsAnHour = 3_600_000n;

/** u32be(sha256(domain ‖ seed[32] ‖ release[32])): where this device stands for this release. */
export function rolloutPosition(seed: Uint8Array, release: string): number {
  const digest = Buffer.from(release, 'hex');
  if (seed.length !== 32 || digest.length !== 32) throw new RangeError('seed and release have 32 bytes');
  return createHash('sha256').update(domain).update(seed).update(digest).digest().readUInt32BE(0);
}

/**
 * The share that is eligible, as a fraction of `whole · hours · 100` kept exact: position p is eligible when
 * p / 2^32 < share. Before the start nobody is; after the last stage its percent stands.
 */
export function isEligible(rollout: Rollout, position: number, now: Date): boolean {
  let elapsed = BigInt(now.getTime() - Date.parse(rollout.start));
  if (elapsed < 0n) return false;
  let reached = 0n;
  for (const { hours, percent } of rollout.stages) {
    const length = BigInt(hours) * millisecondsAnHour;
    const goal = BigInt(percent);
    if (elapsed < length) {
      // share = reached + (goal - reached) · elapsed / length, in percent
      const share = reached * length + (goal - reached) * elapsed;
      return BigInt(position) * 100n * length < share * whole;
    }
    elapsed -= length;
    reached = goal;
  }
  return BigInt(position) * 100n < reached * whole;
}
