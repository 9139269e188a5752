/** `countersign-device audit verify|export`. */
import { later } from '@countersign/protocol/terminal';
import type { Command } from 'commander';

const actions = () => import('../actions/audit.ts');

export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('the trail of what was approved, installed, refused');
  audit.command('verify').description('check every link and signature of the trail').action(later(actions, 'verify'));
  audit.command('export <file>').description('write the whole trail as JSON lines').action(later(actions, 'exportTo'));
}
