/** What is wrong with a workspace, each finding with how to mend it. Changes nothing. */
import type { Targets } from '@countersign/protocol';
import { describeError } from '@countersign/protocol/node';
import { authorityKinds, pendingLine, publishedChain } from '../change/chains.ts';
import { changeState, isEmpty } from '../change/change-signing.ts';
import { readPublicKeyFile } from '../keys/key-files.ts';
import { listKeys } from '../keys/key-uris.ts';
import { listArtifacts, readArtifact, verifyArtifact } from '../releases/artifacts.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readPackage } from './shipped-package.ts';

export interface Diagnosis {
  readonly code: string;
  readonly what: string;
  readonly mend: string;
}

const soonMilliseconds = 14 * 24 * 3600_000;

export async function diagnose(workspace: Workspace, now: Date): Promise<Diagnosis[]> {
  const findings: Diagnosis[] = [];
  const found = (code: string, what: string, mend: string): void => void findings.push({ code, what, mend });
  const attempt = async (work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (error) {
      const { code, message, hint } = describeError(error);
      found(code, message, hint);
    }
  };
  for (const { file } of listKeys(workspace.directory)) await attempt(() => readPublicKeyFile(file.publicFile));
  for (const name of listArtifacts(workspace.directory))
    await attempt(() => verifyArtifact(readArtifact(workspace.directory, name)));
  for (const role of workspace.trustedRoles())
    await attempt(() => {
      const { expires } = workspace.trustedRole(role)!.signed;
      if (Date.parse(expires) - now.getTime() < soonMilliseconds)
        found('ROLE_EXPIRES', `${role} expires at ${expires}`, `countersign renew ${role}, sign and publish`);
    });
  for (const role of ['authority', 'revocations', 'channels'])
    await attempt(() => {
      for (const [path, target] of Object.entries(
        (workspace.trustedRole(role)?.signed as Targets | undefined)?.targets ?? {},
      ))
        workspace.documentOf(path, target);
    });
  for (const kind of authorityKinds)
    await attempt(() => {
      publishedChain(workspace, kind);
      pendingLine(workspace, kind);
    });
  await attempt(() => {
    if (isEmpty(workspace)) return;
    const { complete } = changeState(workspace);
    found(
      complete ? 'CHANGE_READY' : 'CHANGE_UNSIGNED',
      complete ? 'a signed change waits to be published' : 'a change waits for signatures',
      complete ? 'countersign publish --to URL' : 'countersign change show, then countersign change sign',
    );
  });
  if (workspace.trustedRoles().length > 0 && !readPackage((name) => workspace.file('package', name)))
    found('PACKAGE_MISSING', `${workspace.file('package')} is not complete`, 'restore it from what ships with devices');
  return findings;
}
