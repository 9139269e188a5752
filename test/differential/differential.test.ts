import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeKey, type KeyKind } from '../support/tuf-keys.ts';
import { coreClient, differences, tufJsClient } from './clients.ts';
import { explains, type HardeningName } from './hardenings.ts';
import { now, scenario, type Scenario } from './scenario.ts';

const kinds: [KeyKind, number][] = [
  ['ed25519', 5],
  ['ed25519-pem', 1],
  ['ecdsa', 3],
  ['ecdsa-sha2-nistp256', 1],
  ['ecdsa-hex', 1],
  ['ecdsa-p384', 1],
  ['rsa', 1],
  ['rsa-sha512', 1],
];
const pool = kinds.flatMap(([kind, count]) => Array.from({ length: count }, () => makeKey(kind)));
const scratch = mkdtempSync(join(tmpdir(), 'countersign-differential-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

/** The differences that no mutation of the history explains. */
async function unexplained(
  { shippedRoot, epochs, paths, named: byNature }: Scenario,
  process: 'restarts' | 'goes on',
): Promise<{ found: string[]; outcomes: string[] }> {
  const core = coreClient(shippedRoot, process);
  const tufJs = tufJsClient(shippedRoot, scratch);
  const found: string[] = [];
  const outcomes: string[] = [];
  const named = new Set<HardeningName>(byNature);
  for (const [index, { files, applied }] of epochs.entries()) {
    for (const { hardening } of applied) if (hardening) named.add(hardening);
    const [ours, theirs] = [await core.run(files, now, paths), await tufJs.run(files, now, paths)];
    outcomes.push(ours.refused === null ? 'accepted' : ours.refused.split(':')[0]!);
    for (const finding of Object.values(ours.findings)) outcomes.push(finding.kind);
    const differ = differences(ours, theirs);
    for (const difference of differ)
      if (!explains(named, difference))
        found.push(`epoch ${index} (${applied.map(({ name }) => name).join(', ')}): ${difference.what}`);
    // After a difference they are in different states, so what follows shows nothing.
    if (differ.length > 0) break;
  }
  return { found, outcomes };
}

/** Keeps what was served: keys and signatures are new in each run, so a seed alone may not reproduce a difference. */
function keep({ shippedRoot, epochs }: Scenario): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-difference-'));
  writeFileSync(join(folder, 'root.json'), shippedRoot);
  for (const [index, { files }] of epochs.entries()) {
    mkdirSync(join(folder, String(index)));
    for (const [name, bytes] of files) writeFileSync(join(folder, String(index), encodeURIComponent(name)), bytes);
  }
  return folder;
}

test('the core and tuf-js agree on thousands of random repositories, or the difference is a known hardening', async (t) => {
  const count = Number(process.env.DIFFERENTIAL_COUNT ?? 1500);
  // The same ones in CI, new ones everywhere else.
  const start = Number(process.env.DIFFERENTIAL_SEED ?? (process.env.CI === 'true' ? 20_261_123 : randomInt(2 ** 30)));
  t.diagnostic(`DIFFERENTIAL_SEED=${start} DIFFERENTIAL_COUNT=${count}`);
  const seen = new Map<string, number>();
  const failures: string[] = [];
  let repositories = 0;
  for (let seed = start; seed < start + count; seed++) {
    const history = scenario(seed, pool);
    repositories += history.epochs.length;
    const { found, outcomes } = await unexplained(history, seed % 2 === 0 ? 'restarts' : 'goes on').catch(
      (error: unknown) => ({ found: [String((error as Error).stack)], outcomes: [] }),
    );
    for (const outcome of outcomes) seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    const kept = found.length > 0 ? keep(history) : '';
    failures.push(...found.map((what) => `DIFFERENTIAL_SEED=${seed} DIFFERENTIAL_COUNT=1 (files in ${kept}): ${what}`));
    if (failures.length > 20) break;
  }
  t.diagnostic(`${repositories} repositories`);
  t.diagnostic([...seen].map(([outcome, times]) => `${outcome} ${times}`).join(', '));
  assert.deepEqual(failures, []);
  if (count < 1500) return;
  // The comparison is only meaningful if every kind of outcome occurs more than once.
  for (const outcome of [
    'accepted',
    'found',
    'absent',
    'refused',
    'TUF_SIGNATURE',
    'TUF_ROLLBACK',
    'TUF_EXPIRED',
    'TUF_HASH',
    'TUF_VERSION',
    'TUF_MISSING',
    'TUF_FORMAT',
  ])
    assert.ok((seen.get(outcome) ?? 0) >= 5, `${outcome}: ${seen.get(outcome) ?? 0}`);
});
