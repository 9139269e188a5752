/**
 * Decides whether a rollout has reached this device. The rollout is signed, and evaluated on the device. Each device has a
 * position in [0, 2^32) that only it knows; a release reaches it when the eligible share has grown past it. All numbers are
 * whole, so every implementation agrees (fixtures/vectors/rollout.json).
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Rollout } from './channel.ts';

const domain = Buffer.from('countersign/rollout/v1\0', 'utf8');
const whole = 2n ** 32n;
const millisecondsAnHour = 3_600_000n;

/** u32be(sha256(domain ‖ seed[32] ‖ release[32])): the position of this device for this release. */
export function rolloutPosition(seed: Uint8Array, release: string): number {
  const digest = Buffer.from(release, 'hex');
  if (seed.length !== 32 || digest.length !== 32) throw new RangeError('seed and release have 32 bytes');
  return createHash('sha256').update(domain).update(seed).update(digest).digest().readUInt32BE(0);
}

/**
 * Position p is eligible when p / 2^32 < share; the share is kept exact as a fraction of `whole · hours · 100`. Before the start
 * no position is eligible; after the last stage its percent remains.
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
