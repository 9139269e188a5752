/**
 * Writes OLPC canonical JSON, the byte form that TUF signs (specification §4.2.1). Only quote and backslash are escaped, keys are
 * in code-point order, numbers are integers. It is not valid JSON where a string has a control character, so never parse it.
 */
import { Buffer } from 'node:buffer';
import { formatError } from './format-errors.ts';

/** @throws FORMAT_JSON for a value that has no OLPC form (fractions, undefined, lone surrogates). */
export function canonicalOlpc(value: unknown): Buffer {
  return Buffer.from(write(value), 'utf8');
}

function write(value: unknown): string {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw formatError('FORMAT_JSON', 'a string with a lone surrogate has no canonical form');
    return `"${value.replace(/["\\]/g, '\\$&')}"`;
  }
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw formatError('FORMAT_JSON', `the number ${value} has no canonical form`);
    return String(value === 0 ? 0 : value);
  }
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (typeof value === 'object') {
    const fields = Object.entries(value).sort(([a], [b]) => compareCodePoints(a, b));
    return `{${fields.map(([key, item]) => `${write(key)}:${write(item)}`).join(',')}}`;
  }
  throw formatError('FORMAT_JSON', `a value of type ${typeof value} has no canonical form`);
}

/** Compares in UTF-8 byte order. JavaScript's own comparison differs from it only beyond the basic plane. */
function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  if (isBasic(a) && isBasic(b)) return a < b ? -1 : 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const isBasic = (text: string): boolean => !/[\ud800-\udfff]/.test(text);
