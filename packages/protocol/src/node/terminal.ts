/** The terminal's entry: what a program needs to declare its commands and to answer. It loads nothing else, so that `--help` is quick. */
export * from './terminal/command-line.ts';
export * from './terminal/doctor.ts';
export * from './terminal/terminal.ts';
