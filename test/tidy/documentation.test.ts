/** The pages for users are correct: every command line in them exists with its options, and every link leads somewhere. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const pages = globSync(['*.md', 'docs/**/*.md', 'fixtures/*.md'], { cwd: root }).sort();
const programs: Record<string, string> = {
  countersign: 'packages/signer/bin/countersign.js',
  'countersign-server': 'packages/repo-server/bin/countersign-server.js',
  'countersign-device': 'packages/client/bin/countersign-device.js',
};

test('every link leads to a file that is there', () => {
  const broken: string[] = [];
  for (const page of pages)
    for (const [, target] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g))
      if (!existsSync(join(root, dirname(page), target!))) broken.push(`${page}: ${target}`);
  assert.deepEqual(broken, []);
});

/** `program words…` of every shell block and of every piece of code in a table that begins like one. */
function* commandLines(): Generator<{ page: string; line: string }> {
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [, block] of text.matchAll(/```sh\n([\s\S]*?)```/g))
      for (const line of block!.split('\n'))
        if (/^(npx )?countersign(-server|-device)? /.test(line)) yield { page, line: line.replace(/^npx /, '') };
    for (const [, line] of text.matchAll(/`(countersign(?:-server|-device)? [^`]+)`/g)) yield { page, line: line! };
  }
}

/** The `--help` output of each command, read once; the key is the program and the command's words. */
const asked = new Map<string, Promise<string>>();
function helpOf(program: string, words: readonly string[]): Promise<string> {
  const key = [program, ...words].join(' ');
  let help = asked.get(key);
  if (!help) {
    const run = promisify(execFile)(process.execPath, [join(root, programs[program]!), ...words, '--help']);
    asked.set(key, (help = run.then(({ stdout }) => stdout)));
  }
  return help;
}

async function faultOf(line: string): Promise<string | null> {
  const [program, ...rest] = line.split(' -- ')[0]!.trim().split(/\s+/) as [string, ...string[]];
  const words: string[] = [];
  let help = await helpOf(program, []);
  for (const word of rest) {
    if (!new RegExp(`^  ${word}(\\|\\S+)? `, 'm').test(help.split('Commands:')[1] ?? '')) break;
    words.push(word);
    help = await helpOf(program, words);
  }
  if (words.length === 0) return rest[0]!.startsWith('-') ? null : `there is no command ${rest[0]}`;
  if (help.includes('Commands:'))
    return rest[words.length] === undefined ? null : `${rest[words.length]} is no command`;
  const global = await helpOf(program, []);
  for (const [option] of line.split(' -- ')[0]!.matchAll(/(?<=\s)--[a-z-]+/g))
    if (!new RegExp(`${option}[ ,\\n]`).test(`${help}${global}`)) return `${words.join(' ')} has no ${option}`;
  return null;
}

test('every command line in the pages exists, with its options', async () => {
  const lines = [...commandLines()];
  assert.ok(lines.length > 60, `${lines.length} lines`);
  const faults: string[] = [];
  const work = async (): Promise<void> => {
    for (let next = lines.shift(); next; next = lines.shift()) {
      const fault = await faultOf(next.line);
      if (fault) faults.push(`${next.page}: ${next.line}: ${fault}`);
    }
  };
  await Promise.all([work(), work()]);
  assert.deepEqual(faults, []);
});
