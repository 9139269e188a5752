/**
 * The process that is killed: `node --import fault-preload.mjs operation.ts SCENARIO FOLDER [RECORD]` does the scenario's
 * operation on the device in FOLDER and prints how many calls changed something.
 */
import { writeFileSync } from 'node:fs';
import { serialize } from 'node:v8';
import { withLock } from '../../packages/client/src/device/device.ts';
import { recover } from '../../packages/client/src/installing/recovery.ts';
import { closeConnections } from '../../packages/client/src/trust/refresh.ts';
import { networkScenarios } from './network.ts';
import { inThreads, open, scenarios } from './scenarios.ts';

interface Faults {
  arm(): void;
  disarm(): void;
  count(): number;
  mark(name: string): void;
  take(): unknown[];
}
const { faults } = globalThis as unknown as { faults: Faults };
const [name, directory, recordFile] = process.argv.slice(2);
const device = open(directory!);
await withLock(device, async () => {
  const network = networkScenarios.find((scenario) => scenario.name === name);
  const local = [...scenarios, inThreads].find((scenario) => scenario.name === name);
  const act = name === 'recover' ? recover : (network ?? local)!.act;
  await network?.prepare?.(device);
  faults.arm();
  await act(device);
  faults.mark('done');
  faults.disarm();
  await closeConnections(device);
});
if (recordFile !== undefined) writeFileSync(recordFile, serialize(faults.take()));
console.log(faults.count());
