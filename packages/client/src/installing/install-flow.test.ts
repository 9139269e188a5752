/** The outcomes of an approved plan. Whole installations are tested end to end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PublishedRepository } from '../../../../test/support/published-repository.ts';
import { repositoryDevice } from '../../../../test/support/repository-device.ts';
import { addAccount, signIn } from '../consent/accounts.ts';
import { recordAnswer, signAnswer } from '../consent/approvals.ts';
import { computeDevicePlan } from '../consent/planning.ts';
import { openAlerts } from '../device/alerts.ts';
import { withLock } from '../device/device.ts';
import { currentRow } from '../generations/generations.ts';
import { readPlan } from '../generations/plans.ts';
import { installApproved } from './install-flow.ts';

test('a plan of which nothing is left, since what it needs was kept off, is declined and changes nothing', async (t) => {
  const repository = new PublishedRepository();
  const capabilities = [{ id: 'screen-view', required: true }];
  repository.offer(repository.addRelease({ name: 'remote-support', version: '2.0.0', capabilities }));
  repository.publish();
  const { device, poll } = await repositoryDevice(t, repository);
  const view = await poll();
  const { digest } = (await withLock(device, () => computeDevicePlan(device, view)))!;
  const weakCostsForTests = { N: 16, r: 8, p: 1 };
  const password = 'correct horse battery';
  await addAccount(device, { name: 'kim', printedName: 'Kim', roles: ['technician'], password, weakCostsForTests });
  const decisions = [{ component: 'remote-support', capability: 'screen-view', grant: false }];
  const answer = { plan: digest, answer: 'approve' as const, decisions, terms: [], language: 'en', shown: 'all of it' };
  recordAnswer(device, signAnswer(device, answer, await signIn(device, 'kim', password)));
  await assert.rejects(
    withLock(device, () => installApproved(device)),
    { code: 'INSTALL_NOTHING_LEFT', message: /remote-support: it needs screen-view, which was kept off/ },
  );
  assert.equal(readPlan(device, digest).state, 'declined');
  assert.equal(currentRow(device), null);
  assert.equal(
    openAlerts(device).some(({ code }) => code === 'INSTALL_FAILED'),
    false,
  );
});
