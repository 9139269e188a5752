/** The rules of a channel beyond its schema, and which devices an offer is for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blockedReason, checkChannel, offerFits, channelType, type Channel } from './channel.ts';

const offer = () => ({
  component: 'app',
  version: '1.0.0',
  platform: 'any' as const,
  models: ['Navios'],
  release: '0'.repeat(64),
  urgency: 'routine' as const,
  rollout: {
    start: '2026-01-01T00:00:00Z',
    stages: [
      { hours: 1, percent: 10 },
      { hours: 1, percent: 10 },
    ],
  },
});
const channel = (): Channel => ({ _type: channelType, channel: 'stable', offers: [offer()], blocked: [] });

test('a channel: its own name, each release once, models that agree, stages that never shrink', () => {
  checkChannel(channel(), 'stable');
  checkChannel(
    {
      ...channel(),
      offers: [
        offer(),
        { ...offer(), platform: 'win32-x64', release: '1'.repeat(64) },
        { ...offer(), version: '1.0.1', release: '2'.repeat(64) },
      ],
    },
    'stable',
  );
  const refused = (bent: Channel, message: RegExp): void =>
    assert.throws(() => checkChannel(bent, 'stable'), { code: 'CHANNEL_RULES', message });
  refused({ ...channel(), channel: 'beta' }, /calls itself beta/);
  refused({ ...channel(), offers: [offer(), { ...offer(), release: '1'.repeat(64) }] }, /offers app 1\.0\.0 any twice/);
  refused(
    { ...channel(), offers: [offer(), { ...offer(), version: '1.0.1' }] },
    /offers the same release as app 1\.0\.0 any and as app 1\.0\.1 any/,
  );
  refused({ ...channel(), offers: [{ ...offer(), models: ['*', 'Navios'] }] }, /\* beside other models/);
  const stages = [
    { hours: 1, percent: 50 },
    { hours: 1, percent: 49 },
  ];
  refused(
    { ...channel(), offers: [{ ...offer(), rollout: { ...offer().rollout, stages } }] },
    /fewer devices in a later stage/,
  );
});

test('an offer fits a model and a platform; a block has its reason', () => {
  assert.ok(offerFits(offer(), 'Navios', 'win32-x64'));
  assert.ok(offerFits({ models: ['*'], platform: 'win32-x64' }, 'Other', 'win32-x64'));
  assert.equal(offerFits(offer(), 'Other', 'win32-x64'), false);
  assert.equal(offerFits({ models: ['*'], platform: 'win32-x64' }, 'Navios', 'linux-x64'), false);
  const blocked = { ...channel(), blocked: [{ component: 'app', version: '1.0.0', reason: 'broken' }] };
  assert.equal(blockedReason(blocked, 'app', '1.0.0'), 'broken');
  assert.equal(blockedReason(blocked, 'app', '1.0.1'), undefined);
  assert.equal(blockedReason(blocked, 'other', '1.0.0'), undefined);
});
