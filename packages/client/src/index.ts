/** What tests, the demo and the benchmarks may use of the client. */
export * from './database.ts';
export * from './errors.ts';
