/** How a change is told: a row for each thing to sign. */
import type { Terminal } from '@countersign/protocol/terminal';
import type { ChangeState } from '../change/change-signing.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { keyNames } from './session.ts';

export function printState(workspace: Workspace, terminal: Terminal, { roles, lines }: ChangeState): void {
  const nameOf = keyNames(workspace);
  const names = (ids: readonly string[]): string => ids.map(nameOf).join(', ');
  const rows = [
    ...lines.map(({ authority, version, signed, missing, complete }) => [
      `${authority} authority`,
      String(version),
      complete ? 'enough' : 'NOT ENOUGH',
      names(signed),
      names(missing),
    ]),
    ...roles.flatMap(({ role, version, demands }) =>
      demands.map(({ by, threshold, signed, missing }) => [
        demands.length > 1 ? `${role} (by ${by})` : role,
        String(version),
        `${Math.min(signed.length, threshold)} of ${threshold}`,
        names(signed),
        names(missing),
      ]),
    ),
  ];
  terminal.table(['role', 'version', 'signed', 'by', 'could still sign'], rows);
}
