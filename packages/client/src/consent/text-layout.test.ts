import assert from 'node:assert/strict';
import { test } from 'node:test';
import { paragraphs, wrap } from './text-layout.ts';

test('paragraphs that were broken by hand become whole; headings and list items stay', () => {
  const text =
    '# Terms\n\n1. **Who.** A session is started\n   by the staff.\n2. Second\n\nFree text\ngoes on.\n- item\n';
  assert.deepEqual(paragraphs(text, '  '), [
    '  # Terms',
    '',
    '  1. **Who.** A session is started by the staff.',
    '  2. Second',
    '',
    '  Free text goes on.',
    '  - item',
  ]);
  assert.deepEqual(paragraphs('a\u001b[2Jb'), ['a\\u{1b}[2Jb']);
  assert.deepEqual(paragraphs(''), ['']);
});

test('lines end at words, and go on below their text', () => {
  assert.deepEqual(wrap(['  - one two three', 'four'], 11), ['  - one two', '    three', 'four']);
  assert.deepEqual(wrap(['  12. aaaa bbbb'], 10), ['  12. aaaa', '      bbbb']);
  assert.deepEqual(wrap(['unbreakable-word and', ''], 5), ['unbreakable-word', 'and', '']);
  assert.deepEqual(wrap(['원격 지원 세션'], 9), ['원격 지원', '세션']);
});
