/** `countersign-server`: the repository server's commands. */
import { runCommand } from '@countersign/protocol/terminal';
import { serverProgram } from './program.ts';

await runCommand(serverProgram());
