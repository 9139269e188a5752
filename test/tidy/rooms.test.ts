/** The rooms of each package: every folder is one, imports go down only, and nothing imports itself in a circle. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { ESLint } from 'eslint';
import { circles, fileGraph, levels, roomGraph, roomOf, type Graph } from '../../tools/import-graph.ts';
import { packages } from '../../tools/rooms.ts';

const root = resolve(import.meta.dirname, '../..');
const graphOf = (arrows: Record<string, string[]>): Graph =>
  new Map(Object.entries(arrows).map(([node, others]) => [node, new Set(others)]));

test('a circle is found, however long, and counts as one', () => {
  assert.deepEqual(circles(graphOf({ a: ['b'], b: ['c'], c: [] })), []);
  assert.deepEqual(circles(graphOf({ a: ['b'], b: ['c'], c: ['b', 'd'], d: ['a'], e: ['a'] })), [['a', 'b', 'c', 'd']]);
  assert.equal(levels(graphOf({ a: ['b', 'c'], b: ['c'], c: [], d: ['c'] })), 3);
});

for (const { source, rooms, entries } of packages) {
  const files = fileGraph(root, source);

  test(`${source}: every folder is a room, and every room is there`, () => {
    const folders = readdirSync(join(root, source), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const known = packages.some((other) => other.source === `${source}/node`) ? [...rooms, 'node'] : rooms;
    assert.deepEqual(folders.map(({ name }) => name).sort(), known.filter((room) => !room.endsWith('.ts')).sort());
  });

  test(`${source}: no file and no room imports itself in a circle`, () => {
    assert.ok(files.size > 10);
    assert.deepEqual([...circles(files), ...circles(roomGraph(files, rooms))], []);
  });

  test(`${source}: a room imports only rooms below it`, () => {
    const wrong: string[] = [];
    for (const [file, imports] of files)
      for (const other of imports) {
        if (entries.includes(file)) continue;
        const [from, to] = [rooms.indexOf(roomOf(file, rooms)), rooms.indexOf(roomOf(other, rooms))];
        if (to > from || entries.includes(other)) wrong.push(`${file} imports ${other}`);
      }
    assert.deepEqual(wrong, []);
  });
}

test('lint refuses an import of a room above, in every room, and takes one of a room below', async () => {
  const eslint = new ESLint({ cwd: root });
  const refusals = async (source: string, room: string, other: string): Promise<number> => {
    const from = room.endsWith('.ts') ? `${source}/${room}` : `${source}/${room}/sample.ts`;
    const to = other.endsWith('.ts') ? other : `${other}/sample.ts`;
    const code = `import '${room.endsWith('.ts') ? './' : '../'}${to}';\n`;
    const [result] = await eslint.lintText(code, { filePath: join(root, from) });
    return result!.messages.filter(({ ruleId }) => ruleId === 'no-restricted-imports').length;
  };
  let looked = 0;
  for (const { source, rooms, entries } of packages)
    for (const [at, room] of rooms.entries())
      for (const [index, other] of [...rooms, ...entries].entries()) {
        if (other === room) continue;
        assert.equal(await refusals(source, room, other), index > at ? 1 : 0, `${source}: ${room} imports ${other}`);
        looked++;
      }
  assert.ok(looked > 200, `${looked} pairs`);
});
