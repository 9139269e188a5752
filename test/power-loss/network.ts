/**
 * The operations that a power cut may hit while a device talks to its server: a poll that brings a new root, new metadata and new
 * documents, and the download and installation of what a technician approved. The server runs in the test's own process and
 * outlives the kills.
 */
import { cpSync, globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { TestContext } from 'node:test';
import type { TrustRecord } from '@countersign/protocol/node';
import { authorityPath, channelPath, revocationsPath, sha256 } from '@countersign/protocol';
import { withLock, type Device } from '../../packages/client/src/device/device.ts';
import { openPlan } from '../../packages/client/src/generations/plans.ts';
import { decideInstall } from '../../packages/client/src/installing/decided-install.ts';
import { fetchArchives } from '../../packages/client/src/installing/downloads.ts';
import { approvedPlan, installApproved } from '../../packages/client/src/installing/install-flow.ts';
import { confirmByBothVerifiers } from '../../packages/client/src/installing/verifiers.ts';
import { poll } from '../../packages/client/src/service/polling.ts';
import { acceptedLines } from '../../packages/client/src/trust/authorities.ts';
import { keptDocument } from '../../packages/client/src/trust/documents.ts';
import { closeConnections, refreshTrust } from '../../packages/client/src/trust/refresh.ts';
import { deviceStore } from '../../packages/client/src/trust/trust-on-device.ts';
import { addKit } from '../support/device-program.ts';
import { PublishedRepository } from '../support/published-repository.ts';
import { repositoryDevice } from '../support/repository-device.ts';
import { addTechnician, approveOpenPlan } from '../support/technician.ts';
import { open, type Scenario } from './scenarios.ts';

export interface NetworkScenario extends Omit<Scenario, 'arrange'> {
  /** Done in the process that is killed, before calls count. */
  prepare?(device: Device): Promise<void>;
}

/** The parts of an installation are prepared once per process; the device is the same. */
let fetching: (() => Promise<unknown>) | undefined;

export const networkScenarios: readonly NetworkScenario[] = [
  { name: 'refresh', act: (device) => poll(device) },
  {
    name: 'download',
    prepare: async (device) => {
      const { digest } = approvedPlan(device)!;
      const view = await refreshTrust(device);
      const decided = decideInstall(device, digest);
      await confirmByBothVerifiers(device, view, decided);
      fetching = () => fetchArchives(device, view, decided);
    },
    act: () => fetching!(),
  },
  { name: 'download and install', act: (device) => installApproved(device) },
];

export interface NetworkScene {
  readonly repository: PublishedRepository;
  /** Folder of a device that polled the first published state. */
  readonly polled: string;
  /** Folder of the same device, whose technician approved what the second state offers. */
  readonly approved: string;
}

/** Publishes two states and leaves a device in each; `t` ends the server. */
export async function makeScene(t: Pick<TestContext, 'after'>): Promise<NetworkScene> {
  const time = new Date().toISOString();
  const repository = new PublishedRepository({ time });
  const capabilities = [{ id: 'view' }, { id: 'transfer' }];
  const capabilityFiles = { transfer: { 'bin/transfer': '#!/bin/sh\n' } };
  const first = { component: 'app', version: '1.0.0', capabilities: capabilities.slice(0, 1) };
  repository.offer(await addKit(repository, first));
  repository.publish();
  const { device, poll: pollOnce } = await repositoryDevice(t as TestContext, repository);
  device.setTime(time);
  await pollOnce();
  const polled = device.directory;
  repository.rotateRoot(() => undefined);
  repository.offer(await addKit(repository, { component: 'app', version: '2.0.0', capabilities, capabilityFiles }));
  repository.publish();
  const approved = `${polled}-approved`;
  cpSync(polled, approved, { recursive: true });
  const other = open(approved);
  await addTechnician(other);
  await withLock(other, () => poll(other));
  await approveOpenPlan(other);
  await closeConnections(other);
  other.database.close();
  return { repository, polled, approved };
}

/** What the device trusts, as far as it decides anything: version floors, roots, documents, files, plan. */
export function describeTrust(directory: string): string {
  const device = open(directory);
  const record = deviceStore(device).readRecord() as TrustRecord | undefined;
  const authorityKinds = ['codesign', 'devices'] as const;
  const paths = [...authorityKinds.map(authorityPath), revocationsPath, channelPath('stable')];
  const trust = {
    floors: [...(record?.floors ?? [])].map(([role, version]) => ({ role, version })),
    roots: [...(record?.roots ?? [])].map(([version, digest]) => ({ version, sha256: digest })),
    documents: paths.map((path) => [path, keptDocument(device, path)?.sha256]),
    lines: authorityKinds.map((kind) =>
      acceptedLines(device, kind).map(({ version, sha256: line }) => [version, line]),
    ),
    plan: openPlan(device)?.digest ?? null,
    files: metadataFiles(directory),
  };
  device.database.close();
  return JSON.stringify(trust);
}

/** Digest of every metadata file. */
export const metadataFiles = (directory: string): Record<string, string> => filesBelow(directory, 'metadata');

function filesBelow(directory: string, folder: string): Record<string, string> {
  const files = globSync('**/*', { cwd: join(directory, folder), withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return Object.fromEntries(files.map((file) => [relative(directory, file), sha256(readFileSync(file))]));
}

/** Digest of every file that a download left under its own name. */
export const downloadedFiles = (directory: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(filesBelow(directory, join('staging', 'downloads'))).filter(([file]) => !file.endsWith('.part')),
  );
