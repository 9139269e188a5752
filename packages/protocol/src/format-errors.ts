/** Error codes for documents that do not follow their format. */
import { errorsOf } from './error.ts';

export const formatErrorTable = {
  FORMAT_JSON: {
    meaning: 'The bytes are not JSON, not UTF-8, or nested too deeply.',
    hint: 'the file is damaged or is not what its name says; fetch or make it again',
  },
  FORMAT_NOT_CANONICAL: {
    meaning:
      'A Countersign document differs from its RFC 8785 serialisation, for example by a duplicate key or white space.',
    hint: 'let the signer write this document; do not edit it by hand',
  },
  FORMAT_SCHEMA: {
    meaning: 'A document lacks a field, has an unknown one, or a value outside what its schema allows.',
    hint: 'compare the named field with the format; the value may come from a newer Countersign',
  },
  FORMAT_TOO_LARGE: {
    meaning: 'A document is larger than its format allows.',
    hint: 'nothing valid is that large; the source is wrong or hostile',
  },
} as const;

export const formatError = errorsOf(formatErrorTable);
