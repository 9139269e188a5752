/** A technician who approves the open plan, with every capability on and all terms accepted. */
import { addAccount, signIn } from '../../packages/client/src/consent/accounts.ts';
import { recordAnswer, signAnswer } from '../../packages/client/src/consent/approvals.ts';
import { withLock, type Device } from '../../packages/client/src/device/device.ts';
import { openPlan } from '../../packages/client/src/generations/plans.ts';

const password = 'correct horse battery';

export const addTechnician = (device: Device): Promise<unknown> =>
  addAccount(device, {
    name: 'kim',
    printedName: 'Kim',
    roles: ['technician'],
    password,
    weakCostsForTests: { N: 16, r: 8, p: 1 },
  });

export async function approveOpenPlan(device: Device): Promise<void> {
  const { digest, plan } = openPlan(device)!;
  const decisions = plan.steps.flatMap(({ component, decisions: asked }) =>
    asked.map(({ capability }) => ({ component, capability, grant: true })),
  );
  const terms = plan.steps.flatMap(({ component, terms: asked }) =>
    asked ? [{ component, version: asked.version }] : [],
  );
  const answer = { plan: digest, answer: 'approve' as const, decisions, terms, language: 'en', shown: 'all' };
  const kim = await signIn(device, 'kim', password);
  await withLock(device, () => recordAnswer(device, signAnswer(device, answer, kim)));
}
