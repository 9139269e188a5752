/** What tests, the demo and the benchmarks may use of the client. */
export * from './accounts.ts';
export * from './alerts.ts';
export * from './approvals.ts';
export * from './audit.ts';
export * from './database.ts';
export * from './device.ts';
export * from './downloads.ts';
export * from './errors.ts';
export * from './planning.ts';
export * from './plans.ts';
export * from './refresh.ts';
export * from './verifiers.ts';
