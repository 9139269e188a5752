/**
 * `npm run mutants [-- PART…]`: takes each security check out in turn, in a scratch copy, and runs the tests that should notice.
 * A check is an `if` that throws a coded error or returns a refusal marked by `// check:`; each operand of an outermost `||` is a
 * separate check. So is each operand of an `&&` under a line with `// checks:`, all of which must hold. A mutant that no test
 * notices is printed and fails the run. One that cannot be noticed must say so at its line with `// equivalent: why`.
 * PART narrows to files whose path contains it.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const root = resolve(import.meta.dirname, '..');
const parts = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));

/** Where security checks are, and which tests cover them in addition to the test beside the file, nearest first. */
const areas: readonly { files: string; tests: readonly string[] }[] = [
  {
    files: 'packages/protocol/src/*.ts',
    tests: ['packages/protocol/src/*.test.ts', 'packages/protocol/src/tuf/*.test.ts'],
  },
  {
    files: 'packages/protocol/src/tuf/*.ts',
    tests: ['packages/protocol/src/tuf/*.test.ts', 'packages/protocol/src/node/metadata/*.test.ts'],
  },
  {
    files: 'packages/protocol/src/{release,authority,channel,code-signing}/*.ts',
    tests: [
      'packages/protocol/src/{release,authority,channel,code-signing}/*.test.ts',
      'test/code-signing/*.test.ts',
      'test/conformance/code-signing.test.ts',
      'test/attacks/{release,stolen-keys,old-versions}.test.ts',
    ],
  },
  { files: 'packages/protocol/src/consent/*.ts', tests: ['packages/protocol/src/consent/*.test.ts'] },
  ...['files', 'terminal', 'http', 'archive', 'metadata'].map((room) => ({
    files: `packages/protocol/src/node/${room}/*.ts`,
    tests: [`packages/protocol/src/node/${room}/*.test.ts`],
  })),
  {
    files: 'packages/signer/src/**/*.ts',
    tests: ['packages/signer/src/**/*.test.ts', 'test/code-signing/*.test.ts'],
  },
  {
    files: 'packages/repo-server/src/**/*.ts',
    tests: [
      'packages/repo-server/src/**/*.test.ts',
      'test/server/{publication,publishers,publishing-together,limits,hardening,process}.test.ts',
    ],
  },
  { files: 'packages/client/src/**/*.ts', tests: ['packages/client/src/**/*.test.ts', 'test/attacks/*.test.ts'] },
];

interface Mutant {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly source: string;
  readonly tests: readonly string[];
}

/** Every mutant of one file: each throwing `if` with its condition, or one alternative of it, made false. */
function mutantsOf(file: string, tests: readonly string[]): Mutant[] {
  const source = readFileSync(join(root, file), 'utf8');
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (condition: ts.Expression, value: boolean): void => {
    const { line } = tree.getLineAndCharacterOfPosition(condition.getStart());
    const lines = source.split('\n');
    if ([lines[line - 1], lines[line]].some((text) => text?.includes('// equivalent:'))) return;
    const mutated = `${source.slice(0, condition.getStart())}${value}${source.slice(condition.getEnd())}`;
    found.push({
      file,
      line: line + 1,
      text: condition.getText().replace(/\s+/g, ' ').slice(0, 100),
      source: mutated,
      tests,
    });
  };
  const operands = (node: ts.Expression, operator: ts.SyntaxKind): ts.Expression[] => {
    if (ts.isParenthesizedExpression(node)) return operands(node.expression, operator);
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === operator)
      return [...operands(node.left, operator), ...operands(node.right, operator)];
    return [node];
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIfStatement(node) && refuses(node.thenStatement, source))
      for (const one of operands(node.expression, ts.SyntaxKind.BarBarToken)) add(one, false);
    if (isAllOf(node) && !isAllOf(node.parent) && marked(node, source))
      for (const one of operands(node, ts.SyntaxKind.AmpersandAmpersandToken)) add(one, true);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Whether a branch refuses: throws, or carries the mark of a check, at the end of its line too. */
function refuses(branch: ts.Statement, source: string): boolean {
  const statement = ts.isBlock(branch) ? branch.statements.at(-1) : branch;
  if (statement === undefined) return false;
  const lineEnd = source.indexOf('\n', branch.getEnd());
  return ts.isThrowStatement(statement) || source.slice(branch.getFullStart(), lineEnd).includes('// check:');
}

const isAllOf = (node: ts.Node): node is ts.BinaryExpression =>
  ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken;

/** Whether the line before says that each operand is a check. */
function marked(node: ts.Node, source: string): boolean {
  const lines = source.slice(0, node.getStart()).split('\n');
  return lines.slice(-2).some((line) => line.includes('// checks:')) || lines.slice(-3)[0]!.includes('// checks:');
}

/** A copy of the project with its own packages and our dependencies. */
function scratchCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'countersign-mutants-'));
  for (const part of ['packages', 'test', 'tools', 'fixtures', 'demo', 'package.json', 'tsconfig.json'])
    cpSync(join(root, part), join(copy, part), {
      recursive: true,
      filter: (path) => basename(path) !== 'node_modules',
    });
  mkdirSync(join(copy, 'node_modules', '@countersign'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules')))
    if (name !== '@countersign' && !name.startsWith('.package'))
      symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name), 'junction');
  for (const name of readdirSync(join(root, 'packages')))
    symlinkSync(join(copy, 'packages', name), join(copy, 'node_modules', '@countersign', name), 'junction');
  for (const name of globSync('packages/*/node_modules', { cwd: root }))
    symlinkSync(join(root, name), join(copy, name), 'junction');
  return copy;
}

/** True when the tests are green. A test that hangs counts as red, because it noticed. The first red test ends the round. */
function green(copy: string, tests: readonly string[]): Promise<boolean> {
  const scratch = join(copy, 'scratch');
  mkdirSync(scratch, { recursive: true });
  const options = ['--test', '--test-force-exit', '--test-timeout=60000', '--test-reporter=tap'];
  return new Promise((done) => {
    const child = spawn(process.execPath, [...options, ...tests], {
      cwd: copy,
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
      env: { ...process.env, TMPDIR: scratch, TEMP: scratch, TMP: scratch },
    });
    // A mutant may loop for ever in a process that the runner started. All of them are ended, even if the runner has given up.
    const endAll = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        child.kill('SIGKILL');
      }
    };
    const timer = setTimeout(endAll, 180_000);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (/^\s*not ok /m.test(text)) endAll();
    });
    child.on('exit', (code) => {
      clearTimeout(timer);
      endAll();
      // A killed test's own programs may still write there; the whole copy is removed in the end.
      rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
      done(code === 0);
    });
  });
}

/** The test file beside the source first, then the area's others: the first kills most mutants. */
function rounds(mutant: Mutant): string[][] {
  const beside = mutant.file.replace(/\.ts$/, '.test.ts');
  const all = globSync([...mutant.tests], { cwd: root }).sort();
  return [all.filter((test) => test === beside), all.filter((test) => test !== beside)].filter(
    (round) => round.length > 0,
  );
}

const mutants = areas.flatMap(({ files, tests }) =>
  globSync(files, { cwd: root })
    .filter(
      (file) =>
        !/\.(test|contract)\.ts$/.test(file) && (parts.length === 0 || parts.some((part) => file.includes(part))),
    )
    .sort()
    .flatMap((file) => mutantsOf(file, tests)),
);
console.log(`${mutants.length} checks to take out`);
const queue = [...mutants];
const survivors: Mutant[] = [];
let finished = 0;

async function work(): Promise<void> {
  const copy = scratchCopy();
  try {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const path = join(copy, mutant.file);
      const original = readFileSync(path);
      writeFileSync(path, mutant.source);
      let survived = true;
      for (const round of rounds(mutant)) if (survived) survived = await green(copy, round);
      writeFileSync(path, original);
      if (survived) {
        survivors.push(mutant);
        console.log(`not noticed: ${mutant.file}:${mutant.line} ${mutant.text}`);
      }
      if (++finished % 25 === 0) console.log(`${finished} of ${mutants.length}, ${survivors.length} not noticed`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

await Promise.all([work(), work()]);
console.log(
  `${mutants.length - survivors.length} noticed, ${survivors.length} not noticed (${relative(root, dirname(import.meta.filename))})`,
);
if (survivors.length > 0 || mutants.length === 0) process.exitCode = 1;
