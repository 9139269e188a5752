/** `countersign`: the release engineer's and key holders' program. */
import { runCommand } from '@countersign/protocol/terminal';
import { signerProgram } from './program.ts';

await runCommand(signerProgram());
