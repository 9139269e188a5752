/** The program. */
console.error('error[NOT_READY]: this program is being built');
process.exitCode = 1;
