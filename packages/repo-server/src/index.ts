/** What tests, the demo and the benchmarks may use of the program. */
export { startServer, type RunningServer, type ServerOptions } from './server.ts';
