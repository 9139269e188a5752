/** What tests, the demo and the benchmarks may use of the client. */
export * from './consent/accounts.ts';
export * from './device/alerts.ts';
export * from './consent/approvals.ts';
export * from './device/audit.ts';
export * from './device/database.ts';
export * from './device/device.ts';
export * from './installing/downloads.ts';
export * from './device/errors.ts';
export * from './consent/planning.ts';
export * from './generations/plans.ts';
export * from './trust/refresh.ts';
export * from './installing/verifiers.ts';
