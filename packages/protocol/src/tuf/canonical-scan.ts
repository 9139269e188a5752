/**
 * Tells whether bytes are already the OLPC canonical form (TUF §4.2.1) of the value that JSON.parse reads from them, without
 * building that value. If so, the signed bytes are these bytes, and a large file is not serialised again. False is always safe:
 * the caller then serialises. Must never return true where `canonicalOlpc(JSON.parse(bytes))` differs. It therefore also returns
 * false for canonical forms that are not JSON (a raw newline) and for keys that need escapes.
 */

const maximumDepth = 64;
const notCanonical = -1;
const quote = 0x22;
const backslash = 0x5c;

/** The bytes must be valid UTF-8. */
export function isCanonicalJson(bytes: Uint8Array): boolean {
  return value(bytes, 0, 0) === bytes.length;
}

/** Each of these returns the position after what it read. */
function value(bytes: Uint8Array, at: number, depth: number): number {
  switch (bytes[at]) {
    case quote:
      return text(bytes, at);
    case 0x7b:
      return depth < maximumDepth ? object(bytes, at, depth + 1) : notCanonical;
    case 0x5b:
      return depth < maximumDepth ? array(bytes, at, depth + 1) : notCanonical;
    case 0x74:
      return word(bytes, at, 'true');
    case 0x66:
      return word(bytes, at, 'false');
    case 0x6e:
      return word(bytes, at, 'null');
    default:
      return integer(bytes, at);
  }
}

function object(bytes: Uint8Array, start: number, depth: number): number {
  let at = start + 1;
  if (bytes[at] === 0x7d) return at + 1;
  let before = 0;
  let beforeEnd = 0;
  for (;;) {
    if (bytes[at] !== quote) return notCanonical;
    const end = key(bytes, at);
    if (end === notCanonical || bytes[end] !== 0x3a) return notCanonical;
    if (beforeEnd > 0 && !isGreater(bytes, at, end, before, beforeEnd)) return notCanonical;
    before = at;
    beforeEnd = end;
    at = value(bytes, end + 1, depth);
    if (at === notCanonical) return notCanonical;
    if (bytes[at] === 0x7d) return at + 1;
    if (bytes[at] !== 0x2c) return notCanonical;
    at++;
  }
}

function array(bytes: Uint8Array, start: number, depth: number): number {
  let at = start + 1;
  if (bytes[at] === 0x5d) return at + 1;
  for (;;) {
    at = value(bytes, at, depth);
    if (at === notCanonical) return notCanonical;
    if (bytes[at] === 0x5d) return at + 1;
    if (bytes[at] !== 0x2c) return notCanonical;
    at++;
  }
}

/** Only quote and backslash are escaped; JSON does not allow raw control characters. */
function text(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === quote) return at + 1;
    if (byte < 0x20) return notCanonical;
    if (byte === backslash) {
      at++;
      if (bytes[at] !== quote && bytes[at] !== backslash) return notCanonical;
    }
  }
  return notCanonical;
}

/** A text without escapes, so that the order of its bytes is the order of its characters. */
function key(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === quote) return at + 1;
    if (byte < 0x20 || byte === backslash) return notCanonical;
  }
  return notCanonical;
}

/** Whether the key in [a, aEnd) comes after the one in [b, bEnd); the ranges include the quotes. Equal keys are duplicates. */
function isGreater(bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): boolean {
  const lengthA = aEnd - a - 1;
  const lengthB = bEnd - b - 1;
  const shorter = lengthA < lengthB ? lengthA : lengthB;
  for (let i = 1; i < shorter; i++) {
    const x = bytes[a + i]!;
    const y = bytes[b + i]!;
    if (x !== y) return x > y;
  }
  return lengthA > lengthB;
}

function integer(bytes: Uint8Array, start: number): number {
  const first = bytes[start] === 0x2d ? start + 1 : start;
  let at = first;
  while (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++;
  const digits = at - first;
  // Fifteen digits are always a safe integer; the caller serialises the few longer ones.
  if (digits === 0 || digits > 15) return notCanonical;
  if (bytes[first] === 0x30 && (digits > 1 || first > start)) return notCanonical;
  return at;
}

function word(bytes: Uint8Array, start: number, expected: string): number {
  for (let i = 0; i < expected.length; i++) if (bytes[start + i] !== expected.charCodeAt(i)) return notCanonical;
  return start + expected.length;
}
