/**
 * Which Node the project needs, and that everything in it can run there. `npm ci` would judge each package by the Node that runs
 * npm, which may be an old one; here it is judged by the Nodes that run the packages.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import semver from 'semver';

interface Manifest {
  readonly version: string;
  readonly engines?: { readonly node?: string };
  readonly optionalDependencies?: Record<string, string>;
}

const root = resolve(import.meta.dirname, '../..');
const read = <T = Manifest>(file: string): T => JSON.parse(readFileSync(join(root, file), 'utf8')) as T;
const lock = read<{ packages: Record<string, Manifest> }>('package-lock.json').packages;

/** The Nodes that bin-launcher.js takes: the oldest, and the one that npm brings. */
const oldest = '24.15.0';
const brought = read('package.json').optionalDependencies!;

test('any Node from 20 on can install and start the project', () => {
  assert.equal(read('package.json').engines!.node, '>=20');
  assert.equal(lock['']!.engines!.node, '>=20');
});

test('npm ci warns of no package for the sake of the Node that runs npm', () => {
  assert.deepEqual(
    Object.keys(lock).filter((name) => name !== '' && lock[name]!.engines),
    [],
    'npm wrote engines into package-lock.json: run node tools/lock-engines.ts',
  );
});

test('every installed package runs under each Node that the programs run under', () => {
  assert.equal(new Set(Object.values(brought)).size, 1, 'every platform has the same Node');
  const installed = Object.keys(lock).filter((name) => name !== '' && existsSync(join(root, name, 'package.json')));
  assert.ok(installed.length > 100, `${installed.length} packages`);
  const unfit = installed.flatMap((name) => {
    const { engines } = read(join(name, 'package.json'));
    return [oldest, ...Object.values(brought)]
      .filter((version) => engines?.node !== undefined && !semver.satisfies(version, engines.node))
      .map((version) => `${name} wants Node ${engines!.node!}, not ${version}`);
  });
  assert.deepEqual(unfit, []);
});
