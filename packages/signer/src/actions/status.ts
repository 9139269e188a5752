/** `countersign status`. */
import type { Command } from 'commander';
import { changeState, isEmpty } from '../change/change-signing.ts';
import { signingState } from '../change/role-signatures.ts';
import { printState } from './change-table.ts';
import { keyNames, withWorkspace } from './session.ts';

const dayMilliseconds = 24 * 3600_000;

export const status = (_: unknown, command: Command): Promise<void> =>
  withWorkspace(command, (workspace, terminal) => {
    const now = Date.now();
    const published = workspace.trustedRoles().map((role) => {
      const { signed } = workspace.trustedRole(role)!;
      return {
        role,
        version: signed.version,
        expires: signed.expires,
        days: Math.floor((Date.parse(signed.expires) - now) / dayMilliseconds),
      };
    });
    const change = changeState(workspace);
    terminal.answer({ published, change: { empty: isEmpty(workspace), ...change } }, () => {
      if (published.length === 0) terminal.print('nothing is published yet');
      else {
        const nameOf = keyNames(workspace);
        terminal.table(
          ['role', 'version', 'expires', 'in days', 'who may sign'],
          published.map(({ role, version, expires, days }) => [
            role,
            String(version),
            expires,
            days < 0 ? 'EXPIRED' : String(days),
            signingState(workspace, role, workspace.role(role))
              .demands.at(-1)!
              .signed.concat(signingState(workspace, role, workspace.role(role)).demands.at(-1)!.missing)
              .map(nameOf)
              .join(', '),
          ]),
        );
      }
      terminal.print();
      if (isEmpty(workspace)) terminal.print('nothing is pending');
      else printState(workspace, terminal, change);
    });
  });
