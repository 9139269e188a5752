/**
 * Makes a format from one schema: types, validation and messages all come from it. Objects are closed (an unknown field is
 * refused) and every string, array and number is bounded.
 */
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { canonicalBytes, parseCanonical } from './canonical-json.ts';
import { formatError } from './format-errors.ts';

export interface Format<T> {
  /** Its name in messages, such as "channel". */
  readonly name: string;
  readonly maximumBytes: number;
  /** @throws FORMAT_SCHEMA */
  check(value: unknown, what?: string): T;
  /** Reads RFC 8785 bytes. @throws FORMAT_JSON FORMAT_NOT_CANONICAL FORMAT_SCHEMA FORMAT_TOO_LARGE */
  parse(bytes: Uint8Array, what?: string): T;
  /** Checks, then writes RFC 8785 bytes: what it writes can always be read. */
  serialize(value: T): Buffer;
}

/** A format from its schema. */
export function format<S extends TSchema>(name: string, schema: S, maximumBytes = 1 << 20): Format<Static<S>> {
  // Compiled on first use: a program checks only a few of the formats that it knows.
  let validator: ReturnType<typeof Compile> | undefined;
  const check = (value: unknown, what = name): Static<S> => {
    validator ??= Compile(schema as TSchema);
    if (validator.Check(value)) return value as Static<S>;
    const found = validator.Errors(value).slice(0, 3);
    const words = found.map((error) => `${error.instancePath || '/'} ${error.message}`).join('; ');
    throw formatError('FORMAT_SCHEMA', `${what} does not follow its format: ${words}`, {
      context: { paths: found.map((error) => error.instancePath) },
    });
  };
  return {
    name,
    maximumBytes,
    check,
    parse: (bytes, what = name) => check(parseCanonical(bytes, what, maximumBytes), what),
    serialize: (value) => {
      const bytes = canonicalBytes(check(value));
      if (bytes.length > maximumBytes)
        throw formatError('FORMAT_TOO_LARGE', `${name} has ${bytes.length} bytes, allowed are ${maximumBytes}`);
      return bytes;
    },
  };
}
