/** `countersign-device`: the program on the controller PC. */
import './small-memory.ts';
import { runCommand } from '@countersign/protocol/terminal';
import { deviceProgram } from './program.ts';

await runCommand(deviceProgram());
