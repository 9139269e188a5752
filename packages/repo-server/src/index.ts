/** What tests, the demo and the benchmarks may use of the program. */
export {};
