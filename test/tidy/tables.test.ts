/**
 * Each table of the device has one owner, named beside it in the schema: all SQL over it stands in that module and in the test beside
 * it. Elsewhere, tests included, rows are read and written by the owner's functions, or tampered with by name.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import ts from 'typescript';

const root = resolve(import.meta.dirname, '../..');
const client = 'packages/client/src';
const schemaFile = `${client}/device/database.ts`;
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** The owner of each table, by the schema's own comments. */
function ownersOf(schema: string): Map<string, string> {
  const owners = new Map<string, string>();
  let owner: string | undefined;
  for (const line of schema.split('\n')) {
    owner = /^-- owner: (\S+)$/.exec(line)?.[1] ?? owner;
    const table = /^CREATE TABLE (\w+)/.exec(line)?.[1];
    if (table === undefined) continue;
    assert.ok(owner, `${table} has no owner`);
    owners.set(table, `${client}/${owner}`);
  }
  return owners;
}

/** Names that stand in a text where SQL names a table, `?` for one that is only put in when it runs. Statements in small letters count where a text begins with one. */
const tablesIn = (text: string): string[] =>
  /\b(SELECT|INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER|WITH)\b/.test(text) ||
  /^\s*(select|insert|update|delete|replace|drop|alter|with)\b/i.test(text)
    ? [
        ...text.matchAll(
          /\b(?:FROM|INTO|UPDATE(?:\s+OR\s+\w+)?|JOIN|TABLE|EXISTS|ON)[\s(]+(\?|(?:main\.)?["[`]?\w+["\]`]?(?:\s*,\s*(?:main\.)?["[`]?\w+["\]`]?)*)/gi,
        ),
      ].flatMap(([, names]) =>
        names!.split(',').map((name) => name.toLowerCase().replace(/^\s*(main\.)?["[`]?|["\]`]?\s*$/g, '')),
      )
    : [];

/** Every string of a source: template texts joined over what they interpolate, and what `+` puts together as one. */
function stringsOf(source: string): string[] {
  const found: string[] = [];
  const textOf = (node: ts.Node): string => {
    if (ts.isStringLiteralLike(node)) return node.text;
    if (ts.isTemplateExpression(node))
      return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join('?');
    if (isSum(node)) return textOf(node.left) + textOf(node.right);
    return ts.isParenthesizedExpression(node) ? textOf(node.expression) : '?';
  };
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node) || isSum(node)) found.push(textOf(node));
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest));
  return found;
}

const isSum = (node: ts.Node): node is ts.BinaryExpression =>
  ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken;

/** The one place that puts the name of a table in when it runs. */
const tampering = 'test/support/tampering.ts';

const owners = ownersOf(read(schemaFile));

test('SQL and the tables that it names are found', () => {
  assert.deepEqual(
    stringsOf(
      "a.exec('DELETE FROM plan'); b.prepare(`SELECT x FROM audit WHERE ${c} JOIN release`); d('taken FROM plan')",
    ).map(tablesIn),
    [['plan'], ['audit', 'release'], []],
  );
  assert.deepEqual(stringsOf("a.exec('SELECT 1 ' + ('FROM ' + 'plan'))").flatMap(tablesIn), ['plan']);
  assert.deepEqual(stringsOf('a.exec(`DELETE FROM ${table}`)').flatMap(tablesIn), ['?']);
  assert.ok(stringsOf("a.exec('DELETE FROM ' + table)").flatMap(tablesIn).includes('?'));
  assert.deepEqual(tablesIn('delete from alert'), ['alert']);
  assert.deepEqual(tablesIn('SELECT 1 FROM main.plan JOIN "job" ON x = y'), ['plan', 'job', 'x']);
  assert.deepEqual(tablesIn('SELECT 1 FROM(PLAN)'), ['plan']);
  assert.deepEqual(tablesIn('SELECT 1 FROM highest, plan'), ['highest', 'plan']);
  assert.deepEqual(tablesIn('UPDATE OR IGNORE plan SET x = 1'), ['plan']);
  assert.deepEqual(tablesIn('INSERT OR REPLACE INTO approval VALUES (?)'), ['approval']);
});

test('every table has an owner that is there', () => {
  assert.ok(owners.size > 20, `${owners.size} tables`);
  for (const [table, owner] of owners) {
    assert.ok(existsSync(join(root, owner)), `${table}: ${owner}`);
    assert.ok(stringsOf(read(owner)).flatMap(tablesIn).includes(table), `${owner} has no SQL over ${table}`);
  }
});

test('no module has SQL over a table of another', () => {
  const files = globSync('{packages,test,demo,bench,tools}/**/*.{ts,mjs,js}', {
    cwd: root,
    exclude: ['**/node_modules/**'],
  }).map((file) => file.replaceAll('\\', '/'));
  assert.ok(files.length > 200);
  const wrong = files
    .filter((file) => file !== schemaFile && file !== 'test/tidy/tables.test.ts')
    .flatMap((file) =>
      stringsOf(read(file))
        .flatMap(tablesIn)
        .filter((table) =>
          table === '?'
            ? file !== tampering
            : owners.has(table) && file.replace(/(\.slow)?\.test\.ts$/, '.ts') !== owners.get(table),
        )
        .map((table) => `${file}: ${table}, which ${owners.get(table) ?? 'nobody known'} owns`),
    );
  assert.deepEqual(wrong, []);
});
