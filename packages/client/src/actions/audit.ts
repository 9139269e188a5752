/** `countersign-device audit verify|export`. */
import { shortDigest } from '@countersign/protocol';
import { writeDurable } from '@countersign/protocol/node';
import type { Command } from 'commander';
import { exportAudit, verifyAudit } from '../device/audit.ts';
import { withDevice } from './session.ts';

export const verify = (_: unknown, command: Command): Promise<void> =>
  withDevice(command, (device, terminal) => {
    const { records, head } = verifyAudit(device);
    terminal.answer({ verified: true, records, head }, () =>
      terminal.print(`${records} records, unbroken up to ${shortDigest(head)}`),
    );
  });

export const exportTo = (file: string, _: unknown, command: Command): Promise<void> =>
  withDevice(command, (device, terminal) => {
    const lines = [...exportAudit(device)];
    writeDurable(file, lines.join(''));
    terminal.answer({ file, lines: lines.length }, () => terminal.print(`${lines.length} lines written to ${file}`));
  });
