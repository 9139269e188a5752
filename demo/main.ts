/**
 * `npm start`: takes a component from a release engineer's folder to an approved, running installation, in a fresh folder and
 * with the three real programs. On a terminal the person decides; elsewhere, or with `--unattended`, the demo does, ends
 * everything and prints a summary as its last line.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeComponents } from '../fixtures/component-folders.ts';
import { Device, type Summary } from './device.ts';
import { Stage, StageError } from './stage.ts';
import { Vendor } from './vendor.ts';

const { values } = parseArgs({
  options: { dir: { type: 'string' }, unattended: { type: 'boolean', default: false } },
});
const attended = !values.unattended && process.stdin.isTTY === true && process.stdout.isTTY === true;

/** A folder for this run only. */
function freshFolder(): string {
  if (values.dir === undefined) return mkdtempSync(join(tmpdir(), 'countersign-demo-'));
  const folder = resolve(values.dir);
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    console.error(`error[DEMO_FOLDER]: ${folder} is not empty\nhint: name a new folder with --dir`);
    process.exit(1);
  }
  mkdirSync(folder, { recursive: true });
  return folder;
}

async function play(stage: Stage): Promise<Record<string, Summary>> {
  const vendor = new Vendor(stage);
  stage.heading('Prepare: components, and stand-ins for a certificate authority and its time-stamping service');
  writeComponents(stage.path('components'));
  await vendor.startAuthority();
  await vendor.makeRepository();

  const ordinary = new Device(stage, 'device', { model: 'Demo Analyser', serial: 'DA-0001', attended });
  const navios = new Device(stage, 'device-navios', { model: 'Navios EX', serial: 'NX-0001', attended });
  const first = ['instrument-runtime', 'remote-support@1.0.0', 'notification-client@1.4.0', 'diagnostics@1.0.0'];
  const second = ['remote-support@2.0.0', 'notification-client@1.5.0'];
  const [broken, revoked] = ['remote-support@3.0.0', 'remote-support@2.1.0'];
  stage.heading('Release: components are packed and code-signed; meanwhile two devices are set up, an ordinary one');
  stage.say('and one whose instrument holds personal health information');
  await Promise.all([
    vendor.pack([...first, ...second, broken, revoked]),
    both(ordinary, navios, (device) => device.make(vendor.url)),
  ]);
  await vendor.release(first);
  await vendor.verify();

  stage.heading('Both devices find the first versions; a technician reads, decides and signs; they are installed');
  await both(ordinary, navios, (device) => device.update({ grant: ['screen-view', 'remote-control'] }));

  stage.heading('The next version brings file transfer: asked as new here, not available on the Navios EX');
  await vendor.release(second);
  await both(ordinary, navios, (device) => device.update({ grant: [] }));
  await both(ordinary, navios, (device) => device.askProgram());

  stage.heading('Later the laboratory wants it after all: requested, and granted by two people');
  await ordinary.request('remote-support', 'file-transfer');
  await ordinary.askProgram();

  stage.heading('A version that does not work: it fails its health check and the device goes back by itself');
  await vendor.release([broken]);
  await ordinary.update({ grant: [], expectRollback: true });

  stage.heading('A release that is revoked after a technician approved it: refused');
  await vendor.release([revoked]);
  await ordinary.approve({ grant: [] });
  await vendor.revoke(revoked);
  const devices: Record<string, Summary> = {};
  await both(ordinary, navios, async (device) => {
    devices[device.name] = await device.summary();
  });
  if (attended) {
    await vendor.sayWhatNext([ordinary, navios]);
    await stage.untilInterrupted();
  }
  await both(ordinary, navios, (device) => device.stopPrograms());
  return { device: devices.device!, 'device-navios': devices['device-navios']! };
}

/** One after the other if a person answers, else both at once. */
async function both(a: Device, b: Device, act: (device: Device) => Promise<void>): Promise<void> {
  if (!attended) return void (await Promise.all([act(a), act(b)]));
  await act(a);
  await act(b);
}

const stage = new Stage(freshFolder());
try {
  const devices = await play(stage);
  await stage.end();
  if (!attended) {
    if (values.dir === undefined) rmSync(stage.directory, { recursive: true, force: true });
    const seconds = Math.round((performance.now() - stage.started) / 100) / 10;
    stage.say(JSON.stringify({ devices, seconds }));
  }
} catch (error) {
  await stage.end();
  console.error(error instanceof StageError ? `error[DEMO]: ${error.message}` : error);
  console.error(`hint: what the programs said is in ${join(stage.directory, 'logs')}`);
  process.exitCode = 1;
}
