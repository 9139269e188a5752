/** An edit counts as a whole or not at all. Tests with the programs themselves show the same for a killed program. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { sha256 } from '@countersign/protocol';
import { emptyTargets } from '../change/change-edits.ts';
import {
  createWorkspace,
  editWorkspace,
  openOrCreateWorkspace,
  openWorkspace,
  withWorkspaceLock,
} from './workspace-editing.ts';
import { readWorkspaceState, Workspace } from './workspace.ts';

const root = mkdtempSync(join(tmpdir(), 'countersign-editing-'));
after(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
let folder: string;
beforeEach(() => (folder = join(root, String(++count))));

const file = (expires: string) => ({
  signed: { ...emptyTargets('channels', new Date()), expires },
  signatures: [],
});
const [first, second] = ['2030-01-01T00:00:00Z', '2031-01-01T00:00:00Z'];
const kept = sha256('kept');
const expiry = (workspace: Workspace): string | undefined => workspace.pendingRole('channels')?.signed.expires;

async function made(): Promise<Workspace> {
  const workspace = createWorkspace(folder);
  await editWorkspace(workspace, (copy) => {
    copy.writePending('channels', file(first));
    copy.keepDocument('channels/stable.json', Buffer.from('kept'));
  });
  return workspace;
}

test('a workspace is there from its first edit on', async () => {
  assert.throws(() => openWorkspace(folder), { code: 'WORKSPACE_MISSING' });
  const workspace = createWorkspace(folder);
  await assert.rejects(
    editWorkspace(workspace, () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.throws(() => openWorkspace(folder), { code: 'WORKSPACE_MISSING' });
  rmSync(folder, { recursive: true });
  await made();
  assert.equal(expiry(openWorkspace(folder)), first);
  assert.throws(() => createWorkspace(folder), { code: 'WORKSPACE_EXISTS' });
  assert.equal(expiry(openOrCreateWorkspace(folder)), first);
});

test('nobody sees an edit before it counts, nor ever one that failed', async () => {
  const workspace = await made();
  await editWorkspace(workspace, (copy) => {
    copy.writePending('channels', file(second));
    assert.equal(expiry(copy), second);
    assert.equal(expiry(workspace), first);
    assert.equal(expiry(new Workspace(folder)), first);
  });
  assert.equal(expiry(workspace), second);
  await assert.rejects(
    editWorkspace(workspace, (copy) => {
      copy.discardChange();
      throw new Error('broke off');
    }),
  );
  assert.equal(expiry(workspace), second);
  assert.deepEqual(readdirSync(join(folder, 'state')), [String(workspace.state)]);
});

test('an edit leaves out what a killed command had begun, and takes with it what it does not touch', async () => {
  const workspace = await made();
  mkdirSync(join(folder, 'state', String(workspace.state + 1), 'change', 'metadata'), { recursive: true });
  writeFileSync(join(folder, 'state', String(workspace.state + 1), 'change', 'metadata', 'root.json'), 'half');
  const before = readFileSync(workspace.changedDocument('channels/stable.json', kept));
  await editWorkspace(workspace, (copy) => copy.dropPending('channels'));
  assert.deepEqual(workspace.pendingRoles(), []);
  assert.deepEqual(readFileSync(workspace.changedDocument('channels/stable.json', kept)), before);
});

test('whoever waited for the lock works on what the other one left', async () => {
  const workspace = await made();
  const late = new Workspace(folder);
  await withWorkspaceLock(workspace, () =>
    editWorkspace(workspace, (copy) => copy.writePending('channels', file(second))),
  );
  assert.equal(expiry(late), first);
  await withWorkspaceLock(late, () => assert.equal(expiry(late), second));
  const busy = withWorkspaceLock(workspace, () => withWorkspaceLock(late, () => assert.fail('both at once')));
  await assert.rejects(busy, { code: 'WORKSPACE_BUSY' });
});

test('refuses settings that are damaged, or of another program', async () => {
  await made();
  for (const text of [
    '',
    '{',
    '{"_type":"other","state":1}',
    '{"_type":"https://countersign.dev/signer/workspace/v1"}',
  ]) {
    writeFileSync(join(folder, 'countersign.json'), text);
    assert.throws(() => readWorkspaceState(folder), { code: 'WORKSPACE_DAMAGED' }, text);
  }
});
