/** Finds what is wrong with a workspace, and how to repair each finding. Changes nothing. */
import type { Targets } from '@countersign/protocol';
import type { Check } from '@countersign/protocol/terminal';
import { authorityKinds, pendingLine, publishedChain } from '../change/chains.ts';
import { changeState, isEmpty } from '../change/change-signing.ts';
import { readPublicKeyFile } from '../keys/key-files.ts';
import { listKeys } from '../keys/key-uris.ts';
import { listArtifacts, readArtifact, verifyArtifact } from '../releases/artifacts.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readPackage } from './shipped-package.ts';

const soonMilliseconds = 14 * 24 * 3600_000;

/** In the order in which findings should be repaired. */
export const workspaceChecks = (workspace: Workspace, now: Date): Check[] => [
  async ({ attempt }) => {
    for (const { file } of listKeys(workspace.directory)) await attempt(() => readPublicKeyFile(file.publicFile));
  },
  async ({ attempt }) => {
    for (const name of listArtifacts(workspace.directory))
      await attempt(() => verifyArtifact(readArtifact(workspace.directory, name)));
  },
  async ({ add, attempt }) => {
    for (const role of workspace.trustedRoles())
      await attempt(() => {
        const { expires } = workspace.trustedRole(role)!.signed;
        if (Date.parse(expires) - now.getTime() < soonMilliseconds)
          add('ROLE_EXPIRES', `${role} expires at ${expires}`, `countersign renew ${role}, sign and publish`);
      });
  },
  ...['authority', 'revocations', 'channels'].map((role) => () => {
    const signed = workspace.trustedRole(role)?.signed as Targets | undefined;
    for (const [path, target] of Object.entries(signed?.targets ?? {})) workspace.documentOf(path, target);
  }),
  ...authorityKinds.map((kind) => () => {
    publishedChain(workspace, kind);
    pendingLine(workspace, kind);
  }),
  ({ add }) => {
    if (isEmpty(workspace)) return;
    const { complete } = changeState(workspace);
    add(
      complete ? 'CHANGE_READY' : 'CHANGE_UNSIGNED',
      complete ? 'a signed change waits to be published' : 'a change waits for signatures',
      complete ? 'countersign publish --to URL' : 'countersign change show, then countersign change sign',
    );
  },
  ({ add }) => {
    if (workspace.trustedRoles().length > 0 && !readPackage((name) => workspace.file('package', name)))
      add('PACKAGE_MISSING', `${workspace.file('package')} is not complete`, 'restore it from what ships with devices');
  },
];
