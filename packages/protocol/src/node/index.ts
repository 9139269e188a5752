/** The Node entry: what the programs share and is not pure. */
export * from './command-line.ts';
export * from './durable-file.ts';
export * from './node-errors.ts';
export * from './terminal.ts';
