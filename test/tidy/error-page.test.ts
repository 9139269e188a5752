/** docs/errors.md and the code's tables say the same, and no code stands in two tables. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorPage, errorTables, renderErrorPage } from '../../tools/error-page.ts';

test('the page of errors lists exactly the codes of the tables', async () => {
  assert.equal(
    readFileSync(errorPage, 'utf8'),
    await renderErrorPage(),
    'bring docs/errors.md up to date with npm run docs',
  );
});

test('every code says what it means and how to repair it', async () => {
  for (const table of (await errorTables()).values())
    for (const [code, { meaning, hint }] of Object.entries(table)) {
      assert.match(code, /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/);
      assert.ok(meaning.length > 10 && hint.length > 10, code);
      assert.doesNotMatch(hint, /\.$/, `${code}: a hint has no full stop`);
    }
});
