/**
 * The one error of Countersign. Programs decide on `code`, never on the class; `message` says what happened and names the file
 * and the action, `hint` says how to repair it. Every code stands in a table with its meaning and its usual hint; a test compares
 * `docs/errors.md` with those tables.
 *
 * Must never hold a secret: neither `message`, `hint` nor `context` may carry key material, passwords or tokens.
 */

/** A code's entry: what it means, and how a person usually repairs it. */
export interface ErrorEntry {
  readonly meaning: string;
  readonly hint: string;
}

export type ErrorTable = Readonly<Record<string, ErrorEntry>>;

export interface ErrorOptions {
  /** Replaces the table's hint where the caller knows a better one. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Plain values for machines (`--json`, logs). */
  readonly context?: Readonly<Record<string, unknown>>;
}

export class CountersignError extends Error {
  override readonly name = 'CountersignError';
  readonly code: string;
  readonly hint: string;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, hint: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = hint;
    this.context = options.context ?? {};
  }
}

/** Makes a package's error constructor from its table: `throw fail('CODE', 'message')`. */
export function errorsOf<const T extends ErrorTable>(table: T) {
  return (code: keyof T & string, message: string, options: ErrorOptions = {}): CountersignError =>
    new CountersignError(code, message, options.hint ?? table[code]!.hint, options);
}

/** The code of any thrown value: ours, or Node's (`ENOSPC`); undefined when it has none. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** What any thrown value says, in words. It may come from elsewhere: escape it where it is shown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether it is one of our own errors. Those carry a code and a hint, so nothing has to be added. */
export const isCoded = (error: unknown): error is CountersignError =>
  error instanceof Error && 'hint' in error && codeOf(error) !== undefined;
