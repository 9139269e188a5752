import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ArchiveNames, archiveLimits, checkArchivePath, checkArchiveTotals } from './archive-policy.ts';

const code = (expected: string) => ({ code: expected });

test('accepts ordinary names', () => {
  for (const path of [
    'a',
    'bin/node',
    'bin/node.exe',
    '.hidden/x',
    'lib/@scope/pkg-1.0+2/index file.js',
    'console',
    'com10',
    'nullable.txt',
    `${'a'.repeat(100)}/${'b'.repeat(19)}`,
  ])
    checkArchivePath(path);
});

for (const [path, why] of [
  ['', 'an empty name'],
  ['/etc/passwd', 'an absolute name'],
  ['a//b', 'an empty segment'],
  ['a/', 'a trailing slash'],
  ['../a', 'a parent segment'],
  ['a/../b', 'an inner parent segment'],
  ['./a', 'a dot segment'],
  ['a\\b', 'a backslash'],
  ['C:/a', 'a drive'],
  ['a:stream', 'an alternate stream'],
  ['naïve', 'a letter outside ASCII'],
  ['a\u0000b', 'a NUL'],
  ['a\nb', 'a newline'],
  ['com\u00b9', 'a superscript digit'],
  ['a.', 'a trailing dot'],
  ['a /b', 'a trailing space'],
  ['...', 'only dots'],
  ['CON', 'a console'],
  ['x/NUL.txt', 'a null device with an extension'],
  ['x/nul .txt', 'a null device with a space before its extension'],
  ['Aux', 'an auxiliary device'],
  ['prn.', 'a printer'],
  ['COM1', 'a serial port'],
  ['lpt9.log/x', 'a printer port as a folder'],
  ['a'.repeat(101), 'a segment too long for a ustar header'],
  [`${'a'.repeat(60)}/${'b'.repeat(60)}`, 'a path of 121 characters'],
] as const)
  test(`rejects ${why}`, () => {
    assert.throws(() => checkArchivePath(path), code('ARCHIVE_NAME'));
  });

test('rejects a path deeper than the bound', () => {
  checkArchivePath(Array(archiveLimits.depth).fill('a').join('/'));
  assert.throws(() => checkArchivePath(Array(33).fill('a').join('/')), code('ARCHIVE_LIMIT'));
});

function names(...paths: string[]) {
  const found = new ArchiveNames();
  for (const path of paths) {
    if (path.endsWith('/')) found.addFolder(path.slice(0, -1));
    else found.addFile(path);
  }
  return found;
}

test('accepts folders named before, after and between their files', () => {
  assert.equal(names('a/', 'a/b', 'a/c/d', 'a/c/', 'a/', 'e').files, 3);
});

for (const [title, paths] of [
  ['the same file twice', ['a/b', 'a/b']],
  ['files that differ in case', ['a/b', 'a/B']],
  ['folders that differ in case', ['lib/a', 'Lib/b']],
  ['folder entries that differ in case', ['lib/', 'LIB/']],
  ['a file where a folder is', ['a/b', 'a']],
  ['a folder where a file is', ['a', 'a/b']],
  ['a folder entry where a file is', ['a', 'a/']],
  ['a folder that differs in case from a file', ['a', 'A/b']],
] as const)
  test(`rejects ${title}`, () => {
    assert.throws(() => names(...paths), code('ARCHIVE_COLLISION'));
  });

test('checks the names that it is given', () => {
  assert.throws(() => names('a', '../b'), code('ARCHIVE_NAME'));
  assert.throws(() => names('../b/'), code('ARCHIVE_NAME'));
});

test('rejects more files than allowed', () => {
  const found = new ArchiveNames();
  for (let index = 0; index < archiveLimits.files; index++) found.addFile(`f${index}`);
  assert.throws(() => found.addFile('one-more'), code('ARCHIVE_LIMIT'));
});

test('rejects more folders than files could need', () => {
  const found = new ArchiveNames();
  assert.throws(() => {
    for (let index = 0; index < archiveLimits.files * 3; index++) found.addFolder(`d${index}`);
  }, code('ARCHIVE_LIMIT'));
});

test('rejects totals beyond the bounds', () => {
  checkArchiveTotals({ length: 0, unpacked: 0, files: 0 });
  checkArchiveTotals({ length: 100, unpacked: archiveLimits.ratioFloor, files: 1 });
  checkArchiveTotals({ length: 2 ** 20, unpacked: 2 ** 20 * archiveLimits.ratio, files: 100_000 });
  assert.throws(() => checkArchiveTotals({ length: 9, unpacked: 9, files: 100_001 }), code('ARCHIVE_LIMIT'));
  assert.throws(() => checkArchiveTotals({ length: 2 ** 40, unpacked: 2 ** 40 + 1, files: 1 }), code('ARCHIVE_LIMIT'));
  assert.throws(
    () => checkArchiveTotals({ length: 2 ** 20, unpacked: 2 ** 20 * archiveLimits.ratio + 1, files: 1 }),
    code('ARCHIVE_LIMIT'),
  );
});

test('an accepted path stays inside its folder on both systems', async () => {
  const { posix, win32 } = await import('node:path');
  const piece = fc.constantFrom('a', 'B', '.', '..', '/', '\\', ':', ' ', 'nul', 'con', '\u0000', 'é', '-', '@', '+');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const path = pieces.join('');
      try {
        checkArchivePath(path);
      } catch {
        return;
      }
      assert.equal(posix.normalize(path), path);
      assert.equal(win32.resolve('C:\\store', path), `C:\\store\\${path.replaceAll('/', '\\')}`);
    }),
    { numRuns: 2000 },
  );
});
