/**
 * Everything that the three programs write to a terminal. These are all the rules:
 *
 * 1. What was asked for goes to stdout; progress, notes, warnings and errors go to stderr.
 * 2. With `--json` stdout gets exactly one JSON object, as its last line, an error too; notes and progress are silent.
 * 3. An error is `error[CODE]: message`, then `hint: how to repair it`; nothing else, no stack.
 * 4. Text from elsewhere (metadata, servers, file names) never reaches the terminal unescaped.
 * 5. Colours and progress are for terminals; NO_COLOR is honoured.
 * 6. Nothing here ever asks a question.
 * 7. Exit 0 done, 1 refused or failed, 2 wrong usage.
 */
import pc from 'picocolors';
import { isCoded, messageOf, codeOf } from '../../error.ts';
import { escapeText } from '../../unsafe-text.ts';
import { nodeErrorTable } from '../node-errors.ts';

export interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface TerminalOptions {
  readonly json?: boolean | undefined;
  readonly stdout?: Stream;
  readonly stderr?: Stream;
}

export interface ProgressBar {
  /** Units done so far; draws at most ten times a second. */
  update(done: number): void;
  /** Removes the line. */
  end(): void;
}

export interface Terminal {
  readonly json: boolean;
  /** A line of the answer; nothing with --json. */
  print(line?: string): void;
  /** Something worth knowing in addition to the answer; nothing with --json. */
  note(line: string): void;
  warn(line: string): void;
  /** Rows under headings, aligned; nothing with --json. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): void;
  progress(label: string, total: number): ProgressBar;
  /** The one answer of a command: the object with --json, else what `words` prints. */
  answer(value: object, words: () => void): void;
}

/** A command's terminal. */
export function openTerminal(options: TerminalOptions = {}): Terminal {
  const stdout: Stream = options.stdout ?? process.stdout;
  const stderr: Stream = options.stderr ?? process.stderr;
  const json = options.json === true;
  const colours = pc.createColors(pc.isColorSupported && stderr.isTTY === true);
  const print = (line = ''): void => void (json || stdout.write(`${line}\n`));
  return {
    json,
    print,
    note: (line) => void (json || stderr.write(`${line}\n`)),
    warn: (line) => void (json || stderr.write(`${colours.yellow('warning:')} ${line}\n`)),
    table: (headings, rows) => renderTable(headings, rows).forEach(print),
    progress: (label, total) => drawProgress(json || !stderr.isTTY ? null : stderr, label, total),
    answer: (value, words) => void (json ? stdout.write(`${JSON.stringify(value)}\n`) : words()),
  };
}

/** Whether a person can be asked: a terminal on both sides and no `--json`. The caller asks through a library (rule 6). */
export const canAsk = (terminal: Pick<Terminal, 'json'>): boolean =>
  process.stdin.isTTY === true && process.stdout.isTTY === true && !terminal.json;

/** Columns two blanks apart. A cell's unsafe characters are escaped; East Asian wide characters count as two. */
export function renderTable(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cells = [headings, ...rows].map((row) => row.map((cell) => escapeText(cell, 400)));
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ''))));
  return cells.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat(widths[column]! - widthOf(cell)))
      .join('  ')
      .trimEnd(),
  );
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const widthOf = (text: string): number => {
  let width = 0;
  for (const character of text) width += wide.test(character) ? 2 : 1;
  return width;
};

const idle: ProgressBar = { update: () => {}, end: () => {} };

function drawProgress(stream: Stream | null, label: string, total: number): ProgressBar {
  if (!stream) return idle;
  let drawn = 0;
  return {
    update(done) {
      const now = performance.now();
      if (now - drawn < 100) return;
      drawn = now;
      const part = total > 0 ? Math.min(1, done / total) : 0;
      const filled = Math.round(part * 24);
      const bar = '█'.repeat(filled) + '░'.repeat(24 - filled);
      const text = `${escapeText(label, 60)} ${bar} ${String(Math.floor(part * 100)).padStart(3)} %`;
      stream.write(`\r${text.slice(0, (stream.columns ?? 80) - 1)}\u001b[K`);
    },
    end: () => void (drawn > 0 && stream.write('\r\u001b[K')),
  };
}

/** The machine-readable form of an error. It never holds secrets: the error base keeps them out. */
export function describeError(error: unknown): { code: string; message: string; hint: string } {
  if (isCoded(error)) {
    const { code, message, hint } = error;
    return { code, message: escapeText(message), hint: escapeText(hint) };
  }
  const message = messageOf(error);
  return { code: 'INTERNAL', message: escapeText(message), hint: nodeErrorTable.INTERNAL.hint };
}

/** Rule 2 and 3. With COUNTERSIGN_DEBUG=1 the stack and its causes follow on stderr. */
export function printError(error: unknown, options: TerminalOptions = {}): void {
  const stdout: Stream = options.stdout ?? process.stdout;
  const stderr: Stream = options.stderr ?? process.stderr;
  const { code, message, hint } = describeError(error);
  if (options.json) stdout.write(`${JSON.stringify({ error: { code, message, hint } })}\n`);
  else {
    const colours = pc.createColors(pc.isColorSupported && stderr.isTTY === true);
    stderr.write(`${colours.red(`error[${code}]:`)} ${message}\n${colours.dim('hint:')} ${hint}\n`);
  }
  if (process.env.COUNTERSIGN_DEBUG === '1') {
    for (let cause = error; cause instanceof Error; cause = cause.cause) stderr.write(`${cause.stack ?? ''}\n`);
  }
}

/** Rule 7. */
export const exitCode = (error: unknown): 1 | 2 => (codeOf(error) === 'USAGE' ? 2 : 1);
