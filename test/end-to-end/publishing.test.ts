/** Publishing with interruptions: another publisher, a dead server, a killed command, a second command at the same time. */
import assert from 'node:assert/strict';
import { cpSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { cutLine } from '../support/cut-line.ts';
import { publishedTeam, type ReleaseTeam } from '../support/release-team.ts';
import { filesIn, SignerProgram, type Answer } from '../support/signer-program.ts';

let made: ReleaseTeam;
before(async () => {
  made = await publishedTeam();
  await made.pack('1.1.0');
  await made.pack('1.2.0');
});
after(() => made.remove());

interface Verified {
  timestamp: number;
  offers: { version: string; verdict: string }[];
}
const good = async (team: ReleaseTeam): Promise<string[]> => {
  const { offers } = await team.alice.quick<Verified>('verify', team.url);
  return offers.map(({ version, verdict }) => (verdict === 'good' ? version : `${version}: ${verdict}`));
};

test('of two who publish at once the later one rebases, signs again and publishes; both releases are there', async (t) => {
  const team = made.copy(t);
  cpSync(team.alice.workspace, team.path('other'), { recursive: true });
  const signers = [team.alice, new SignerProgram(team.path('other'))];
  await team.serve(t);
  for (const [index, signer] of signers.entries()) {
    await signer.quick('release', 'add', `app@1.${index + 1}.0`);
    await signer.quick('channel', 'offer', `app@1.${index + 1}.0`);
    await signer.quick(...team.bothSign);
  }
  const answers = await Promise.all(signers.map((signer) => signer.run(...team.publish)));
  assert.deepEqual(answers.map(({ code }) => code).sort(), [0, 1]);
  const late = signers[answers.findIndex(({ code }) => code === 1)]!;
  const refused = answers.find(({ code }) => code === 1)!.json.error!;
  assert.equal(refused.code, 'PUBLISH_CONFLICT');
  assert.match(refused.hint, /countersign change rebase URL/);
  await late.refused('PUBLISH_CONFLICT', ...team.publish);
  const { roles } = await late.ok('change', 'rebase', team.url);
  assert.deepEqual(roles, ['channels', 'component-app']);
  await late.refused('CHANGE_UNSIGNED', ...team.publish);
  await late.ok(...team.bothSign);
  await late.ok(...team.publish);
  assert.deepEqual(await good(team), ['1.0.0', '1.1.0', '1.2.0']);
});

/** More than a connection can hold in its buffers. */
const payload = 16 << 20;
const most = 15 << 20;

/** A signed change with a release of some megabytes, and a running server. */
async function ready(t: TestContext): Promise<ReleaseTeam> {
  const team = made.copy(t);
  await team.pack('2.0.0', payload);
  await team.offer('2.0.0');
  await team.alice.quick(...team.bothSign);
  await team.serve(t);
  return team;
}
const throughLine = (team: ReleaseTeam, url: string): string[] =>
  team.publish.map((word) => (word === team.url ? url : word));

test('a server that dies during the upload goes on with it where it stopped', async (t) => {
  const team = await ready(t);
  const line = await cutLine(t, team.url, {
    afterBytes: most,
    then: () => team.server!.process.kill('SIGKILL'),
  });
  await team.alice.refused('PUBLISH_UNREACHED', ...throughLine(team, line.url));
  await team.server!.ended;
  await team.serve(t);
  const second = await cutLine(t, team.url, {});
  await team.alice.ok(...throughLine(team, second.url));
  const size = statSync(join(team.alice.workspace, 'artifacts', 'app', '2.0.0', 'any.base.tar.zst')).size;
  assert.ok(size > payload && second.up() < size - (1 << 20), `${second.up()} of ${size} bytes were sent again`);
  assert.deepEqual(await good(team), ['1.0.0', '2.0.0']);
});

test('a publish that is killed during the upload, or before it hears the answer, is just run again', async (t) => {
  const team = await ready(t);
  const state = filesIn(team.alice.workspace);
  for (const when of [{ afterBytes: most }, { beforeAnswer: '"snapshot":' }]) {
    const line = await cutLine(t, team.url, { ...when, then: () => command.process.kill('SIGKILL') });
    const command = team.alice.start([...throughLine(team, line.url), '--json']);
    const { signal, stdout } = await command.ended;
    assert.equal(signal, 'SIGKILL', stdout);
    line.drop();
    assert.deepEqual(filesIn(team.alice.workspace), state);
  }
  // The second one was published, although its answer was lost.
  const { timestamp } = await team.alice.quick<Verified>('verify', team.url);
  assert.equal((await team.alice.ok(...team.publish)).timestamp, timestamp);
  await team.alice.quickRefused('CHANGE_EMPTY', ...team.publish);
  assert.deepEqual(await good(team), ['1.0.0', '2.0.0']);
});

const preload = resolve(import.meta.dirname, '../support/fault-preload.mjs');
const said = 'data:text/javascript,faults.arm();process.on("exit",()=>console.error("calls "+faults.count()))';
const posix = { skip: process.platform === 'win32' && 'SIGKILL is POSIX' };

/** Kills the command right before its changing call number `at`; without `at` it counts them. */
const faulty = (signer: SignerProgram, args: readonly string[], at?: number): Promise<Answer> =>
  signer.start([...args, '--json'], {
    imports: [preload, said],
    environment: {
      FAULT_ROOT: signer.workspace,
      ...(at === undefined ? { FAULT_MODE: 'count' } : { FAULT_MODE: 'kill', FAULT_KILL_AT: String(at) }),
    },
  }).ended;

const withoutHalfWritten = (files: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(files).filter(([file]) => !file.endsWith('.tmp')));

/**
 * Kills the command at calls spread over its work and at each of the last ones. What is left must look as if it never ran or ran
 * completely.
 */
async function killAlong(t: TestContext, team: ReleaseTeam, args: readonly string[], doneCode: string): Promise<void> {
  const copyAt = (name: string): SignerProgram => {
    cpSync(team.alice.workspace, team.path(name), { recursive: true });
    return new SignerProgram(team.path(name));
  };
  const whole = copyAt('whole');
  const counted = await faulty(whole, args);
  assert.equal(counted.code, 0, counted.stdout + counted.stderr);
  const calls = Number(/calls (\d+)/.exec(counted.stderr)![1]);
  assert.ok(calls > 20, `${calls} calls`);
  t.diagnostic(`${calls} calls`);
  const [before, done] = [filesIn(team.alice.workspace), filesIn(whole.workspace)];
  const places = [0.2, 0.5, 0.8].map((part) => Math.round(part * calls));
  for (let at = calls - 4; at <= calls; at++) places.push(at);
  for (const at of places) {
    const signer = copyAt(`killed-at-${at}`);
    assert.equal((await faulty(signer, args, at)).signal, 'SIGKILL', `at call ${at} of ${calls}`);
    const left = withoutHalfWritten(filesIn(signer.workspace));
    const isDone = left['countersign.json'] === done['countersign.json'];
    assert.deepEqual(left, isDone ? done : before, `after call ${at} of ${calls}`);
    if (isDone) await signer.quickRefused(doneCode, ...args);
    else await signer.quick(...args);
    assert.deepEqual(filesIn(signer.workspace), done, `run again after call ${at} of ${calls}`);
  }
}

test('a publish that is killed while it takes over what was published is just run again', posix, async (t) => {
  const team = made.copy(t);
  await team.offer('1.1.0');
  await team.alice.quick(...team.bothSign);
  await team.serve(t);
  await killAlong(t, team, team.publish, 'CHANGE_EMPTY');
});

test('a change sign that is killed signed everything or nothing, and is just run again', posix, async (t) => {
  const team = made.copy(t);
  await team.offer('1.1.0');
  await killAlong(t, team, team.signAs('alice'), 'CHANGE_SIGNED');
});

test('of two commands at once one waits or is told that the workspace is busy, and nothing is lost', async (t) => {
  const team = await ready(t);
  const line = await cutLine(t, team.url, { afterBytes: most });
  const publication = team.alice.run(...throughLine(team, line.url));
  await line.cut;
  const state = filesIn(team.alice.workspace);
  assert.match((await team.alice.refused('WORKSPACE_BUSY', 'release', 'add', 'app@1.1.0')).hint, /wait/);
  await team.alice.refused('WORKSPACE_BUSY', 'change', 'discard');
  assert.deepEqual(filesIn(team.alice.workspace), state);
  line.mend();
  assert.equal((await publication).code, 0);
  assert.deepEqual(await good(team), ['1.0.0', '2.0.0']);
  await team.offer('1.1.0');
  await team.alice.quick('change', 'discard');

  const edits = [
    ['release', 'add', 'app@1.1.0'],
    ['renew', 'revocations'],
    ['channel', 'block', 'app@0.1.0', '--reason', 'old'],
  ];
  const answers = await Promise.all(edits.map((words) => team.alice.run(...words)));
  const roles = ['component-app', 'revocations', 'channels'].filter((_, index) => {
    const { code, json } = answers[index]!;
    if (code !== 0) assert.equal(json.error?.code, 'WORKSPACE_BUSY');
    return code === 0;
  });
  assert.ok(roles.length > 0);
  const { change } = await team.alice.quick<{ change: { roles: { role: string }[] } }>('status');
  assert.deepEqual(change.roles.map(({ role }) => role).sort(), roles.sort());
});
