/**
 * What `npm run mutants` takes out of a source, one thing at a time. Pure: text in, mutants out.
 *
 * Everywhere: an `if` that throws, or whose branch has the mark `// check:`, with its condition made false, each operand of an `||`
 * alone; and under a line with `// checks:` each operand of an `&&` made true.
 * In a room that judges also: every `if` that returns or goes on to the next item; and where a truth is computed (a returned or
 * assigned chain, the body of a callback) each operand of the chain, or the only comparison.
 * A line that says `// equivalent: why`, at its end or the line before, is left out: no test could tell.
 */
import ts from 'typescript';

export interface Mutant {
  /** First and last line of what is replaced, from 1. */
  readonly line: number;
  readonly lastLine: number;
  /** What is replaced, on one line. */
  readonly text: string;
  /** What stands there instead. */
  readonly value: 'true' | 'false';
  /** The whole source with that replaced. */
  readonly source: string;
}

export function mutantsOf(source: string, judges: boolean): Mutant[] {
  const tree = ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest, true);
  const lines = source.split('\n');
  const found = new Map<string, Mutant>();
  const lineOf = (position: number): number => tree.getLineAndCharacterOfPosition(position).line;

  const add = ({ node, value }: Weakening): void => {
    const line = lineOf(node.getStart());
    const lastLine = lineOf(node.getEnd());
    if ([line - 1, line, lastLine].some((at) => lines[at]?.includes('// equivalent:'))) return;
    const text = node.getText().replace(/\s+/g, ' ');
    found.set(`${node.getStart()} ${node.getEnd()} ${value}`, {
      line: line + 1,
      lastLine: lastLine + 1,
      text,
      value,
      source: `${source.slice(0, node.getStart())}${value}${source.slice(node.getEnd())}`,
    });
  };

  const visit = (node: ts.Node): void => {
    if (ts.isIfStatement(node)) {
      const end = endOf(node.thenStatement, source);
      if (end === 'throws' || end === 'marked') weaken(node.expression, 'false').forEach(add);
      else if (judges && end === 'leaves') {
        weaken(node.expression, 'false').forEach(add);
        if (isChain(unwrap(node.expression), and)) weaken(node.expression, 'true').forEach(add);
      }
    }
    if (isMarkedChain(node, lines, lineOf)) weaken(node, 'true').forEach(add);
    if (judges && isTruth(node)) weaken(node, isChain(unwrap(node), or) ? 'false' : 'true').forEach(add);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return [...found.values()];
}

interface Weakening {
  readonly node: ts.Expression;
  readonly value: 'true' | 'false';
}

/** The parts of a condition that alone can be what makes it `value`'s opposite, each with the value that takes it out. */
function weaken(node: ts.Expression, value: 'true' | 'false'): Weakening[] {
  const inner = unwrap(node);
  if (ts.isPrefixUnaryExpression(inner) && inner.operator === ts.SyntaxKind.ExclamationToken) {
    const under = unwrap(inner.operand);
    if (isChain(under, and) || isChain(under, or)) return weaken(under, value === 'true' ? 'false' : 'true');
  }
  if (isChain(inner, value === 'false' ? or : and))
    return [...weaken(inner.left, value), ...weaken(inner.right, value)];
  return [{ node: inner, value }];
}

const and = ts.SyntaxKind.AmpersandAmpersandToken;
const or = ts.SyntaxKind.BarBarToken;

const unwrap = (node: ts.Expression): ts.Expression =>
  ts.isParenthesizedExpression(node) ? unwrap(node.expression) : node;

const isChain = (node: ts.Node, operator: typeof and | typeof or): node is ts.BinaryExpression =>
  ts.isBinaryExpression(node) && node.operatorToken.kind === operator;

/** How a branch ends: it throws, carries the mark of a check, leaves what it is in, or goes on. */
function endOf(branch: ts.Statement, source: string): 'throws' | 'marked' | 'leaves' | 'goes on' {
  const last = ts.isBlock(branch) ? branch.statements.at(-1) : branch;
  if (last === undefined) return 'goes on';
  if (ts.isThrowStatement(last)) return 'throws';
  const lineEnd = source.indexOf('\n', branch.getEnd());
  if (source.slice(branch.getFullStart(), lineEnd).includes('// check:')) return 'marked';
  return ts.isReturnStatement(last) || ts.isContinueStatement(last) || ts.isBreakStatement(last) ? 'leaves' : 'goes on';
}

/** An outermost `&&` of which a line before says that each operand is a check. */
function isMarkedChain(
  node: ts.Node,
  lines: readonly string[],
  lineOf: (position: number) => number,
): node is ts.BinaryExpression {
  if (!isChain(node, and) || isChain(node.parent, and)) return false;
  const line = lineOf(node.getStart());
  return lines.slice(Math.max(0, line - 2), line + 1).some((text) => text.includes('// checks:'));
}

const comparisons = new Set([
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
  ts.SyntaxKind.LessThanToken,
  ts.SyntaxKind.LessThanEqualsToken,
  ts.SyntaxKind.GreaterThanToken,
  ts.SyntaxKind.GreaterThanEqualsToken,
]);

/** Whether an expression surely is a truth: a comparison, a negation, a chain of such and of calls. */
function isTrue(node: ts.Expression): boolean {
  const inner = unwrap(node);
  if (isChain(inner, and) || isChain(inner, or))
    return [inner.left, inner.right].every((side) => ts.isCallExpression(unwrap(side)) || isTrue(side));
  return ts.isPrefixUnaryExpression(inner)
    ? inner.operator === ts.SyntaxKind.ExclamationToken
    : ts.isBinaryExpression(inner) && comparisons.has(inner.operatorToken.kind);
}

/** A truth that a function gives, or that a name stands for. Conditions of `if` are looked at with their branch. */
function isTruth(node: ts.Node): node is ts.Expression {
  const { parent } = node;
  if (parent === undefined || !ts.isExpression(node)) return false;
  const gives =
    (ts.isReturnStatement(parent) && parent.expression === node) ||
    (ts.isArrowFunction(parent) && parent.body === node) ||
    (ts.isVariableDeclaration(parent) && parent.initializer === node);
  return gives && isTrue(node);
}
