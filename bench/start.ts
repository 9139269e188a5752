/** What a command costs before it does its work: `--version`, `--help` and `status`, beside a Node that runs nothing. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { DeviceProgram } from '../test/support/device-program.ts';
import { PublishedRepository } from '../test/support/published-repository.ts';
import { publishedTeam } from '../test/support/release-team.ts';
import { median, type Benchmark, type Row } from './measurement.ts';

const rounds = 5;
/** Runs that are measured together, because the system counts CPU time in steps of 10 ms. */
const together = 3;

interface Cost {
  /** Milliseconds of one run, user and system. */
  readonly cpu: number;
  /** MiB of resident memory, at most. */
  readonly memory: number;
}

/** @throws when a run fails */
function costOf(args: readonly string[]): Cost {
  const loop = `n=0; while [ $n -lt ${together} ]; do "$@" >/dev/null || exit 1; n=$((n+1)); done`;
  const command = ['-f', '%U %S %M', 'sh', '-c', loop, 'sh', process.execPath, ...args];
  const run = spawnSync('/usr/bin/time', command, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${args.join(' ')}: ${run.stderr}`);
  const [user, system, kilobytes] = run.stderr.trim().split('\n').at(-1)!.split(' ').map(Number);
  return { cpu: ((user! + system!) * 1000) / together, memory: kilobytes! / 1024 };
}

function measure(commands: Readonly<Record<string, readonly string[]>>): Row[] {
  const subjects = { bare: ['-e', '0'], ...commands };
  const costs = new Map<string, Cost[]>(Object.keys(subjects).map((name) => [name, []]));
  // The first run of each writes the compile cache, as the first command after an installation does.
  for (const args of Object.values(subjects)) costOf(args);
  for (let round = 0; round < rounds; round++)
    for (const [name, args] of Object.entries(subjects)) costs.get(name)!.push(costOf(args));
  const middle = (name: string, of: keyof Cost): number => median(costs.get(name)!.map((cost) => cost[of]));
  return Object.keys(commands).flatMap((name) => [
    {
      what: `${name}, CPU`,
      unit: 'ms',
      ours: middle(name, 'cpu'),
      peer: { name: 'node -e 0', value: middle('bare', 'cpu') },
    },
    {
      what: `${name}, memory`,
      unit: 'MiB',
      ours: middle(name, 'memory'),
      peer: { name: 'node -e 0', value: middle('bare', 'memory') },
    },
  ]);
}

const bin = (file: string): string => resolve(import.meta.dirname, '../packages', file);
const signer = bin('signer/bin/countersign.js');
const server = bin('repo-server/bin/countersign-server.js');
const device = bin('client/bin/countersign-device.js');

async function run(): Promise<Row[]> {
  const team = await publishedTeam();
  const pc = new DeviceProgram(new PublishedRepository().publish());
  try {
    await pc.init('http://127.0.0.1:9/');
    return measure({
      'countersign --version': [signer, '--version'],
      'countersign --help': [signer, '--help'],
      'countersign status': [signer, 'status', '--workspace', team.alice.workspace],
      'countersign-server --version': [server, '--version'],
      'countersign-server --help': [server, '--help'],
      'countersign-device --version': [device, '--version'],
      'countersign-device --help': [device, '--help'],
      'countersign-device status': [device, 'status', '--dir', pc.directory],
    });
  } finally {
    await team.remove();
    rmSync(pc.scratch, { recursive: true, force: true });
  }
}

export const benchmark: Benchmark = { name: 'Start of a command', needs: ['/usr/bin/time'], run };
