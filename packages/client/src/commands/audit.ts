/** `countersign-device audit verify|export`. */
import { shortDigest } from '@countersign/protocol';
import { writeDurable } from '@countersign/protocol/node';
import type { Command } from 'commander';
import { exportAudit, verifyAudit } from '../device/audit.ts';
import { withDevice } from './session.ts';

export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('the trail of what was approved, installed, refused');
  audit
    .command('verify')
    .description('check every link and signature of the trail')
    .action((_: unknown, command: Command) =>
      withDevice(command, (device, terminal) => {
        const { records, head } = verifyAudit(device);
        terminal.answer({ verified: true, records, head }, () =>
          terminal.print(`${records} records, unbroken up to ${shortDigest(head)}`),
        );
      }),
    );
  audit
    .command('export <file>')
    .description('write the whole trail as JSON lines')
    .action((file: string, _: unknown, command: Command) =>
      withDevice(command, (device, terminal) => {
        const lines = [...exportAudit(device)];
        writeDurable(file, lines.join(''));
        terminal.answer({ file, lines: lines.length }, () =>
          terminal.print(`${lines.length} lines written to ${file}`),
        );
      }),
    );
}
