/**
 * Reads from the sources which file imports which inside each package: files, arrows, levels and circles, for files and for
 * rooms. Tests are left out: they may import what they test from anywhere. Imports of types count like any other.
 *
 * `node tools/import-graph.ts [ROOT]` prints a line for each package.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import ts from 'typescript';
import { packages } from './rooms.ts';

/** From a node to the nodes that it imports. */
export type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** The files below `source` (relative to `root`) and what each imports of them, by paths relative to `source`. */
export function fileGraph(root: string, source: string): Graph {
  const folder = join(root, source);
  const files = new Set(
    globSync('**/*.ts', { cwd: folder })
      .map((file) => file.replaceAll('\\', '/'))
      .filter((file) => !/\.(test|contract)\.ts$/.test(file)),
  );
  // The node half of the protocol has its own rooms.
  for (const { source: other } of packages)
    if (other.startsWith(`${source}/`))
      for (const file of files) if (file.startsWith(`${other.slice(source.length + 1)}/`)) files.delete(file);
  const graph = new Map<string, Set<string>>();
  for (const file of [...files].sort()) {
    const text = readFileSync(join(folder, file), 'utf8');
    const named = [
      ...ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName),
      ...[...text.matchAll(/new URL\(\s*['"`](\.[^'"`]+)['"`]/g)].map(([, fileName]) => fileName!),
    ];
    // Resolves every path, even one that leaves the sources and comes back in.
    const imports = named.map((other) => posix.relative(source, posix.join(source, posix.dirname(file), other)));
    graph.set(file, new Set(imports.filter((other) => files.has(other) && other !== file)));
  }
  return graph;
}

/** The room of a file, '' for one that stands beside the rooms. */
export const roomOf = (file: string, rooms: readonly string[]): string =>
  file.includes('/') ? file.split('/')[0]! : rooms.includes(file) ? file : '';

/** The same arrows between rooms. Leaves out files beside the rooms: any room may import them, or they put the rooms together. */
export function roomGraph(files: Graph, order: readonly string[]): Graph {
  const rooms = new Map<string, Set<string>>();
  const of = (file: string): string => roomOf(file, order);
  for (const [file, imports] of files) {
    const room = of(file);
    if (room === '') continue;
    const known = rooms.get(room) ?? new Set();
    rooms.set(room, known);
    for (const other of imports) if (of(other) !== '' && of(other) !== room) known.add(of(other));
  }
  return rooms;
}

/** Groups of nodes that import each other, directly or not (Tarjan). */
export function circles(graph: Graph): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    for (const other of graph.get(node) ?? []) {
      if (!index.has(other)) visit(other);
      if (stack.includes(other)) low.set(node, Math.min(low.get(node)!, low.get(other)!));
    }
    if (low.get(node) !== index.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1) found.push(group.sort());
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found;
}

export const arrows = (graph: Graph): number => [...graph.values()].reduce((sum, { size }) => sum + size, 0);

/** The number of nodes on the longest path of imports; a circle counts with all of its nodes. */
export function levels(graph: Graph): number {
  const groups = circles(graph);
  const groupOf = new Map(groups.flatMap((group) => group.map((node) => [node, group] as const)));
  const known = new Map<string, number>();
  const height = (node: string): number => {
    const group = groupOf.get(node) ?? [node];
    const cached = known.get(group[0]!);
    if (cached !== undefined) return cached;
    const below = group.flatMap((one) => [...(graph.get(one) ?? [])]).filter((other) => !group.includes(other));
    const value = group.length + Math.max(0, ...below.map(height));
    known.set(group[0]!, value);
    return value;
  };
  return Math.max(0, ...[...graph.keys()].map(height));
}

if (process.argv[1] === import.meta.filename) {
  const root = resolve(process.argv[2] ?? join(import.meta.dirname, '..'));
  for (const { source, rooms: order } of packages) {
    const files = fileGraph(root, source);
    const rooms = roomGraph(files, order);
    const told = (what: string, graph: Graph): string =>
      `${graph.size} ${what}, ${arrows(graph)} arrows, ${levels(graph)} levels, ${circles(graph).length} circles`;
    console.log(`${source}: ${told('files', files)}; ${told('rooms', rooms)}`);
    for (const group of [...circles(files), ...circles(rooms)]) console.log(`  circle: ${group.join(' ↔ ')}`);
  }
}
